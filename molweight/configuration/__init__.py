"""How a command line becomes a run: composed from YAML files, checked, and typed.

``composition`` asks Hydra, ``schema`` and ``components`` turn mappings into dataclasses and classes of this
package, ``recipes`` and ``methods`` name the choices, ``run_config`` puts them together for any ``modality``.
"""
