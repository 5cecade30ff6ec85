"""The Centrifuge client protocol (version 2): messages, codes and codecs. Values and bytes only, no I/O."""
