"""The stages that the command line runs, one a file: a strategy goes in, an artefact comes out."""
