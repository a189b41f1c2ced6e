"""The embedded default space `concept`: small networks bound by the names of what they recognise."""
