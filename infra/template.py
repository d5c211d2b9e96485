"""Read `template.yaml` as CloudFormation would: parameters, conditions, references.

Only the intrinsic functions that the template uses are known; another one is
an error, so that what is read here never differs silently from the cloud.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).with_name("template.yaml")
_NO_VALUE = object()


class TemplateError(Exception):
    """The template says something that cannot be read here, or a parameter is wrong."""


@dataclass(frozen=True, slots=True)
class Arn:
    """The ARN of another resource, which only its server can tell.

    Attributes:
        resource: that resource's logical name in the template.
    """

    resource: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the template, its references resolved.

    Attributes:
        name: its logical name.
        type: such as `AWS::S3::Bucket`.
        properties: as CloudFormation would see them; `Arn` where another
            resource's ARN belongs.
    """

    name: str
    type: str
    properties: dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short function names."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        text: Any = loader.construct_scalar(node)
        return {name: text.split(".", 1) if suffix == "GetAtt" else text}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise TemplateError(f"!{suffix} takes a text or a list, line {node.start_mark.line + 1}")


_Loader.add_multi_constructor("!", _short_form)


def read(parameters: Mapping[str, str], path: Path = PATH) -> dict[str, Resource]:
    """Return the template's resources that have no resource-wide policies, by logical name.

    Args:
        parameters: values for the template's parameters; the others take
            their defaults.
        path: the template.

    Returns:
        The bucket, the table and the queues. The IAM and bucket policies are
        left to CloudFormation: they name accounts and partitions.

    Raises:
        TemplateError: a parameter is unknown or against its pattern, or the
            template uses a function that is not known here.
    """
    document = _document(path)
    values = _parameter_values(document.get("Parameters", {}), parameters)
    reader = _Reader(values, document.get("Conditions", {}))
    return {
        name: Resource(name, body["Type"], reader.resolve(body.get("Properties", {})))
        for name, body in document["Resources"].items()
        if not body["Type"].endswith("Policy")
    }


@cache
def _document(path: Path) -> dict[str, Any]:
    # A SafeLoader's subclass: it builds plain values only.
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # nosec B506 # noqa: S506  a SafeLoader


def _parameter_values(declared: dict[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TemplateError(
            f"no parameter {', '.join(unknown)}; there are {', '.join(sorted(declared))}"
        )
    values: dict[str, str] = {}
    for name, declaration in declared.items():
        value = str(given.get(name, declaration.get("Default", "")))
        if not re.search(declaration.get("AllowedPattern", ""), value):
            raise TemplateError(f"{name}={value!r} is against {declaration['AllowedPattern']}")
        if value not in declaration.get("AllowedValues", [value]):
            raise TemplateError(f"{name}={value!r} is not one of {declaration['AllowedValues']}")
        if declaration["Type"] == "Number" and not value.isdigit():
            raise TemplateError(f"{name}={value!r} is not a number")
        values[name] = value
    return values


class _Reader:
    def __init__(self, values: Mapping[str, str], conditions: Mapping[str, Any]) -> None:
        self._values = values
        self._conditions = conditions

    def resolve(self, node: Any) -> Any:
        """Return `node` without functions; what is `AWS::NoValue` is left out."""
        if isinstance(node, list):
            resolved = [self.resolve(item) for item in node]
            return [item for item in resolved if item is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self._reference(argument)
            if name.startswith("Fn::"):
                return self._function(name, argument)
        members = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in members.items() if value is not _NO_VALUE}

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._values:
            return self._values[name]
        raise TemplateError(f"!Ref {name} is not a parameter")

    def _function(self, name: str, argument: Any) -> Any:
        match name, argument:
            case "Fn::If", [condition, yes, no]:
                return self.resolve(yes if self._holds(condition) else no)
            case "Fn::Equals", [left, right]:
                return self.resolve(left) == self.resolve(right)
            case "Fn::Not", [inner]:
                return not self.resolve(inner)
            case "Fn::Sub", str(text):
                return re.sub(r"\$\{([^}]+)}", lambda found: self._reference(found[1]), text)
            case "Fn::GetAtt", [resource, "Arn"]:
                return Arn(resource)
            case _:
                raise TemplateError(f"{name} of {argument!r} is not known here")

    def _holds(self, condition: str) -> bool:
        if condition not in self._conditions:
            raise TemplateError(f"no condition {condition}")
        return bool(self.resolve(self._conditions[condition]))
