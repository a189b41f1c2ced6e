"""Node parameters: declared with description and range, validated on every set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.path_parameters import FOLDERS, READ, PathParameters, purpose_of


@dataclass(frozen=True)
class Setting:
    """One parameter. `live`: a change takes effect at once; others are read when the node configures.

    path: READ or WRITE for a file or folder, SOURCE for a file, a device or a network address; such a parameter
    stays within the folders of the node's read_folders or write_folders. fixed: only set when the node starts.
    """

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    live: bool = False
    path: str = ""
    fixed: bool = False

    @property
    def is_text(self) -> bool:
        """Any text will do: a whole number as well, since `-p source:=0` means the text "0"."""
        return isinstance(self.default, str) and self.choices is None

    def used(self, value: Any) -> Any:
        """A value that passed `check` as the node uses it."""
        return str(value) if self.is_text else value

    def check(self, value: Any) -> None:
        """Raise InvalidInputError unless `value` is in range."""
        if self.is_text and (isinstance(value, bool) or not isinstance(value, (str, int))):
            raise InvalidInputError(f"parameter {self.name}: {value!r} is no text")
        if self.choices is not None:
            for item in value if isinstance(value, (list, tuple)) else [value]:
                if item not in self.choices:
                    raise InvalidInputError(
                        f"parameter {self.name}: {item!r} is not one of {', '.join(self.choices)}"
                    )
        if self.minimum is None or self.maximum is None:
            return
        if not self.minimum <= value <= self.maximum:
            raise InvalidInputError(
                f"parameter {self.name}: {value} is outside {self.minimum} to {self.maximum}"
            )

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        choices = f" One of: {', '.join(self.choices)}." if self.choices else ""
        effect = "" if self.live else " Read when the node configures."
        effect = " Set only when the node starts." if self.fixed else effect
        descriptor = ParameterDescriptor(
            name=self.name,
            description=self.description + choices + effect,
            read_only=self.fixed,
            dynamic_typing=self.is_text,
        )
        if self.minimum is not None and self.maximum is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(self.minimum), to_value=float(self.maximum))
                ]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum), step=1)
                ]
        return descriptor


class Settings:
    """The parameters of one node."""

    def __init__(self, node: Node, settings: Sequence[Setting], may_change: Callable[[], bool]) -> None:
        """may_change: True while parameters that are not live may be set (the node is not configured)."""
        self._node = node
        self._settings = {setting.name: setting for setting in settings}
        self._may_change = may_change
        started: dict[str, Any] = {}
        for setting in settings:
            try:
                value = node.declare_parameter(setting.name, setting.default, setting.descriptor()).value
            except ParameterException as error:
                mend = "; write it with a decimal point" if "DOUBLE" in str(error) else ""
                raise InvalidInputError(f"parameter {setting.name}: {error}{mend}") from None
            setting.check(value)
            started[setting.name] = setting.used(value)
        self._paths = PathParameters({s.name: s.path for s in settings if s.path}, started)
        node.add_on_set_parameters_callback(self._validate)

    def __getitem__(self, name: str) -> Any:
        """Value of a parameter; a path is checked again, since links may have changed, and comes resolved."""
        value = self._node.get_parameter(name).value
        setting = self._settings.get(name)
        if setting is None:
            return value
        value = setting.used(value)
        return self._paths.checked(name, value) if setting.path else value

    def _validate(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            setting = self._settings.get(parameter.name)
            if setting is None:
                continue
            try:
                setting.check(parameter.value)
                if setting.path:
                    self._paths.checked(setting.name, setting.used(parameter.value))
            except InvalidInputError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if not setting.live and not self._may_change():
                reason = f"parameter {setting.name} is read when the node configures: clean up the node first"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)


def folder_settings(settings: Sequence[Setting]) -> list[Setting]:
    """The parameters with the folders to which those of `settings` that name files are confined."""
    purposes = dict.fromkeys(purpose_of(setting.path) for setting in settings if setting.path)
    return [
        Setting(
            FOLDERS[purpose],
            [""],
            f"Folders that parameters may make the node {purpose}; none: what they named when it was started.",
            fixed=True,
        )
        for purpose in purposes
    ]


def model_settings(modalities: Sequence[str]) -> list[Setting]:
    """The parameters that say which model a node loads."""
    return [
        Setting("model", "concept", "Name of the model family, for example concept or imagebind_huge."),
        Setting("checkpoint", "", "File with the weights; empty for the model's own place.", path=READ),
        Setting("device", "cpu", "PyTorch device, for example cpu or cuda:0."),
        Setting(
            "precision",
            "fp32",
            "Arithmetic of the networks.",
            choices=("fp32", "bf16", "fp16", "int8"),
        ),
        Setting(
            "modalities",
            list(modalities),
            "Towers to load.",
            choices=("vision", "text", "audio", "depth", "thermal", "imu"),
        ),
        Setting("threads", 0, "PyTorch threads for inference; 0: PyTorch's own choice.", 0, 256),
    ]
