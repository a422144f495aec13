"""How effective batches become gradients: layout, attention, head, cut, memory, and the loop over them."""
