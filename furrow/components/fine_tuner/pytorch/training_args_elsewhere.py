"""Names of transformers' TrainingArguments that this loop does not have: why, and what to do instead."""

from __future__ import annotations

_SECRET = "a strategy holds no secrets; set HF_TOKEN in the environment"
_ONE_DEVICE = "training runs on one device; leave it out"
_NO_UPLOAD = "nothing is uploaded; publish the exported folder with the hub's own tools"
_FIXED_LOSS = "the loss is the plain cross-entropy over learned tokens; leave it out"
_EAGER = "the model runs as PyTorch has it; leave it out"
_RESUME = "checkpoints are always whole; leave it out"
_NO_LOADER = "rows are tokenised before training; no loader processes are needed"
_METRICS = "every step notes its tokens and seconds; leave it out"
_NO_PREDICTIONS = "evaluation keeps sums of losses, not predictions"
_TRACKERS = "a tracker has its settings in monitoring.trackers: [{type: trackio, space_id: user/name}]"

NOT_HERE: dict[str, str] = {
    "hub_token": _SECRET,
    "push_to_hub_token": _SECRET,
    "push_to_hub": _NO_UPLOAD,
    "push_to_hub_model_id": _NO_UPLOAD,
    "push_to_hub_organization": _NO_UPLOAD,
    "hub_model_id": _NO_UPLOAD,
    "hub_strategy": _NO_UPLOAD,
    "hub_private_repo": _NO_UPLOAD,
    "hub_always_push": _NO_UPLOAD,
    "hub_revision": _NO_UPLOAD,
    "deepspeed": _ONE_DEVICE,
    "fsdp": _ONE_DEVICE,
    "fsdp_config": _ONE_DEVICE,
    "ddp_backend": _ONE_DEVICE,
    "ddp_static_graph": _ONE_DEVICE,
    "parallelism_config": _ONE_DEVICE,
    "accelerator_config": _ONE_DEVICE,
    "average_tokens_across_devices": _ONE_DEVICE,
    "torch_compile_backend": _EAGER,
    "torch_compile_mode": _EAGER,
    "use_liger_kernel": _EAGER,
    "liger_kernel_config": _EAGER,
    "torch_empty_cache_steps": _EAGER,
    "label_smoothing_factor": _FIXED_LOSS,
    "neftune_noise_alpha": "noise on embeddings is not there; method.dropout regularises",
    "optim_args": "say adam_beta1, adam_beta2, adam_epsilon, momentum and weight_decay themselves",
    "optim_target_modules": "every trainable weight has the same optimiser; see method.target_modules",
    "lr_scheduler_kwargs": "say num_cycles, min_lr (lr_end), power, decay_ratio or decay_steps themselves",
    "gradient_checkpointing_kwargs": "gradient checkpointing has no settings; see hardware.optimization",
    "activation_checkpointing": "say hardware.optimization.gradient_checkpointing",
    "activation_checkpointing_kwargs": "gradient checkpointing has no settings; see hardware.optimization",
    "auto_find_batch_size": "micro_batch_tokens: auto does it, and leaves the batch as it is",
    "bf16_full_eval": "evaluation uses the precision of the training; see hardware.optimization.mixed_precision",
    "fp16_full_eval": "evaluation uses the precision of the training; see hardware.optimization.mixed_precision",
    "eval_delay": "evaluation begins with the first eval_steps",
    "eval_on_start": "`complete --compare base` shows the model as it was before",
    "include_for_metrics": "evaluation computes eval_loss and eval_perplexity",
    "batch_eval_metrics": "evaluation computes eval_loss and eval_perplexity",
    "label_names": "labels come from the prompt template",
    "length_column_name": "lengths are counted in tokens",
    "train_sampling_strategy": "rows are shuffled by the seed; see data_preprocessing.shuffle",
    "dataloader_drop_last": "every row is seen in every epoch",
    "data_seed": "one seed orders the rows and seeds the rest: set training_args.seed",
    "full_determinism": "equal seeds give equal runs on a CPU; on a GPU set CUBLAS_WORKSPACE_CONFIG",
    "save_only_model": "a checkpoint always holds what a resumed run needs; save_total_limit bounds how many there are",
    "ignore_data_skip": _RESUME,
    "restore_callback_states_from_checkpoint": _RESUME,
    "resume_from_checkpoint": "say --resume on the command line",
    "enable_jit_checkpoint": _RESUME,
    "save_on_each_node": _ONE_DEVICE,
    "log_on_each_node": _ONE_DEVICE,
    "log_level_replica": _ONE_DEVICE,
    "dataloader_in_order": _NO_LOADER,
    "dataloader_multiprocessing_context": _NO_LOADER,
    "skip_memory_metrics": _METRICS,
    "include_num_input_tokens_seen": _METRICS,
    "logging_nan_inf_filter": "a loss that is not a number stops the run; it is never hidden",
    "eval_do_concat_batches": _NO_PREDICTIONS,
    "eval_use_gather_object": _NO_PREDICTIONS,
    "use_cache": "training keeps no cache of keys and values; answering always does",
    "trackio_space_id": _TRACKERS,
    "trackio_bucket_id": _TRACKERS,
    "trackio_static_space_id": _TRACKERS,
    "do_train": "the command says it: `train`",
    "do_eval": "set eval_strategy",
    "do_predict": "the command says it: `complete`",
    "debug": _EAGER,
    "trust_remote_code": "a strategy cannot turn it on; only the operator can",
}
"""Name -> what to say."""
