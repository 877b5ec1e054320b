"""Small boards become one machine: split a .tflite model among them, pipeline inference over MQTT."""

__version__ = "0.1.0"
