"""trakor-bridge: keeps a Trakor organisation in step with a Salestrekker organisation."""

__all__ = ["__version__"]

__version__ = "0.1.0"
