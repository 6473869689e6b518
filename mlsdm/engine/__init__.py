"""The rules of the engine and the classes that hold its state."""
