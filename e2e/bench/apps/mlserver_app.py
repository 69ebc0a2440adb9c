"""MLServer's runtime that answers its input; iris is served by its own scikit-learn runtime."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Image(MLModel):
    """Answers its input."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        array = NumpyCodec.decode_input(payload.inputs[0])
        outputs = [NumpyCodec.encode_output("output-0", array)]
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
