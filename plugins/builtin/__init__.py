"""The bundled plugins, one bundle directory each: ``builtin:echo``, ``builtin:wordcount`` and ``builtin:kv``."""
