"""Readers of untrusted files, one kind of file a module; `imagebind_node.files` is the front door."""
