"""Decimals in answers: JSON numbers with all their digits.

`1500.25` of the broker is `1500.25` in the answer: it never passes through a float here. Who reads JSON numbers as
floats gets the nearest one, which is exact enough for prices; who reckons to the paisa reads them as decimals (Python:
`json.loads(text, parse_float=Decimal)`).

A decimal of eight places that is nothing would be written `0E-8`. It is a number to JSON and a riddle to people, so
powers are written out: `0.00000000`. Strings of the body are passed over, whatever is in them.
"""

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from litestar import Response
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.serialization import default_serializer
from litestar.types import Serializer
from litestar.typing import FieldDefinition

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator

encoder = msgspec.json.Encoder(enc_hook=default_serializer, decimal_format="number")
_POWER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9.]+E[+-]?[0-9]{1,2}\b')  # a string, or a number; floats have an `e`


def encode(content: object) -> bytes:
    """Give JSON in which decimals are numbers with all their digits and no powers."""
    body = encoder.encode(content)
    return _POWER.sub(_written_out, body) if b"E-" in body or b"E+" in body else body


def _written_out(found: re.Match[bytes]) -> bytes:
    text = found[0]
    return text if text.startswith(b'"') else format(Decimal(text.decode()), "f").encode()


class ExactResponse(Response[object]):
    """An answer whose decimals are numbers."""

    def render(self, content: object, media_type: str, enc_hook: Serializer = default_serializer) -> bytes:
        """Give the body; what is not of ours to encode is left to the framework."""
        if isinstance(content, msgspec.Struct):
            return encode(content)
        return super().render(content, media_type, enc_hook)


class NumberSchema(OpenAPISchemaPlugin):
    """Says so in the OpenAPI description."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Take decimals."""
        return field_definition.annotation is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: "SchemaCreator") -> Schema:  # noqa: ARG002 - the port's names
        """Describe a decimal."""
        return Schema(type=OpenAPIType.NUMBER)
