"""A model that streams, and what it writes down about its generators; read by test_streaming.py and the gRPC tests."""

CODE = """
import asyncio
from pathlib import Path
from haizen_runtime import InvalidInput, Model

HERE = Path(__file__).parent

class Code(Model):
    async def predict(self, inputs, parameters):
        word = inputs["word"].ravel()[0].decode()
        note = HERE / f"{word}.note"
        try:
            for number in range(parameters.get("count", 3)):
                if number == parameters.get("fail_at"):
                    raise InvalidInput("no further")
                if number == parameters.get("crash_at"):
                    import os
                    os._exit(9)
                if number == parameters.get("stop_at"):
                    await asyncio.Event().wait()
                if parameters.get("wait"):
                    await asyncio.sleep(parameters["wait"])
                note.write_text(str(number + 1))
                yield {"text": word + "x" * parameters.get("size", 0), "number": [number]}
        except (GeneratorExit, asyncio.CancelledError) as error:
            (HERE / f"{word}.end").write_text(type(error).__name__)
            raise

    def get_input_types(self):
        return [{"name": "word", "datatype": "BYTES", "shape": [1]}]

    def get_output_types(self):
        text = {"name": "text", "datatype": "BYTES", "shape": [1]}
        return [text, {"name": "number", "datatype": "INT64", "shape": [1]}]
"""
