"""The Python client: finds a node by itself, asks it over MQTT, hands back NumPy arrays.

with mesh.Client() as client:
    answer = client.infer("pose", {"input_1": pixels})
    print(answer.outputs["ld_3d"], answer.timing)
"""

from mesh.client.arrays import Answer
from mesh.client.client import Client, await_reply

__all__ = ["Answer", "Client", "await_reply"]
