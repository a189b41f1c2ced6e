"""What every node of this package is: a lifecycle node with validated parameters, diagnostics and an error log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile

from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.nodes.diagnostics import Diagnostics
from imagebind_node.nodes.error_log import ErrorLog
from imagebind_node.nodes.parameters import Setting, Settings, folder_settings
from imagebind_node.nodes.qos_events import QosWatch
from imagebind_node.streaming.exchange import Exchange

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
STEADY_CLOCK = Clock(clock_type=ClockType.STEADY_TIME)


class ManagedNode(LifecycleNode):
    """Lifecycle node: `configure` loads, `activate` subscribes and starts threads, the others undo these.

    Subclasses override the four methods of those names; each may raise an ImagebindNodeError, which is logged in
    one line and fails the transition. `deactivate` and `cleanup` must bear being called twice.
    """

    def __init__(
        self, name: str, settings: Sequence[Setting], *, exchange: Exchange | None = None, **options: Any
    ) -> None:
        """exchange: shared by the nodes of one process, to hand samples over by reference.

        options: for rclpy.node.Node. Raises InvalidInputError for a parameter out of range.
        """
        super().__init__(name, **options)
        self.configured = False
        self.active = False
        self.exchange = exchange or Exchange()
        self.settings = Settings(
            self,
            [
                *settings,
                *folder_settings(settings),
                Setting("autostart", True, "Configure and activate on start, without a manager."),
            ],
            may_change=lambda: not self.configured,
        )
        self.errors = ErrorLog(self.get_logger().error)
        self.qos_watch = QosWatch(self)
        self.diagnostics = Diagnostics(self)
        self.diagnostics.add("qos", self.qos_watch.report)
        self._publishers_of_ours: list[Any] = []
        self._subscriptions_of_ours: list[Any] = []
        self._expected: dict[str, Any] = {}
        self.start_error: Exception | None = None
        self.wake: Callable[[], None] = lambda: None
        """Makes the executor look again at coroutines that wait for another thread; set by Spinner."""

    def configure(self) -> None:
        """Read parameters, load models, create publishers and services."""

    def activate(self) -> None:
        """Subscribe, start threads."""

    def deactivate(self) -> None:
        """Undo `activate`."""

    def cleanup(self) -> None:
        """Undo `configure`."""

    def inactive_error(self) -> ImagebindNodeError:
        """What a service answers while the node does not run."""
        return InvalidInputError(f"{self.get_fully_qualified_name()} is not active: activate it first")

    def now(self) -> int:
        """Time of the node's clock (simulated with use_sim_time) in nanoseconds."""
        return self.get_clock().now().nanoseconds

    def publisher(self, message_type: type, topic: str, qos: QoSProfile) -> Any:
        """A lifecycle publisher that `cleanup` destroys."""
        publisher: Any = self.create_lifecycle_publisher(
            message_type, topic, qos, event_callbacks=self.qos_watch.for_publisher(topic, qos)
        )
        self._publishers_of_ours.append(publisher)
        return publisher

    def subscription(
        self,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        *,
        raw: bool = False,
    ) -> Any:
        """A subscription that `deactivate` destroys. What `callback` raises is logged and counted.

        raw: `callback` gets the bytes of the serialized message. A subscription that was prepared by `expect` brings
        what came meanwhile; it has to be asked for as it was prepared.
        """

        def guarded(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:  # noqa: BLE001 - one bad message must not end the node; it is reported
                self.errors.add(topic, error)

        expected = self._expected.pop(topic, None)
        if expected is not None:
            expected.callback = guarded
            return expected
        subscription = self.create_subscription(
            message_type,
            topic,
            guarded,
            qos,
            event_callbacks=self.qos_watch.for_subscription(topic, qos),
            raw=raw,
        )
        self._subscriptions_of_ours.append(subscription)
        return subscription

    def expect(self, message_type: type, topic: str, qos: QoSProfile, *, raw: bool = False) -> None:
        """Subscribe in `configure` already, for signals that should not be lost while a model is loaded.

        Only with autostart, where nothing else comes between: messages wait in the queue of DDS until `activate`
        subscribes to `topic`. If it does not, or a node of this process produces the topic, nothing is kept.
        """
        if self.settings["autostart"] and not self.exchange.has_producer(self.resolve_topic_name(topic)):
            self._expected[topic] = self.subscription(message_type, topic, lambda message: None, qos, raw=raw)

    def timer(self, period: float, callback: Callable[[], None]) -> Any:
        """Call `callback` every `period` s of the machine's steady clock; what it raises is logged and counted.

        A timer on the node's own clock stands still for an hour if that clock is set back by an hour.
        """

        def guarded() -> None:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - rclpy would end the executor; it is reported
                self.errors.add(getattr(callback, "__name__", "timer").strip("_"), error)

        return self.create_timer(period, guarded, clock=STEADY_CLOCK)

    def unsubscribe(self, subscription: Any) -> None:
        """Destroy one subscription made by `subscription`."""
        self._subscriptions_of_ours.remove(subscription)
        self._expected = {
            topic: other for topic, other in self._expected.items() if other is not subscription
        }
        self.destroy_subscription(subscription)

    def autostart(self) -> bool:
        """Configure and activate if the parameter `autostart` says so; False if that failed."""
        if not self.settings["autostart"]:
            return True
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    # Transitions, called by the state machine of rclpy.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt("configure", self.configure, self._undo_configure)
        self.configured = result == SUCCESS
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        # Publishers first: a sample that comes while we subscribe must find them enabled.
        super().on_activate(state)
        result = self._attempt("activate", self.activate, self._undo_activate)
        if result != SUCCESS:
            super().on_deactivate(state)
        self._unsubscribe_expected()
        self.active = result == SUCCESS
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_configure()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate()
        self._undo_configure()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate()
        self._undo_configure()
        return SUCCESS

    def close(self) -> None:
        """Stop everything, in any state, and destroy the node."""
        self._undo_activate()
        self._undo_configure()
        self.destroy_node()

    def _attempt(
        self, what: str, action: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        try:
            action()
        except ImagebindNodeError as error:
            self.get_logger().error(f"cannot {what}: {error}")
            self.start_error = error
        except Exception as error:  # noqa: BLE001 - the state machine would drop it without a word
            self.errors.add(what, error)
            self.start_error = error
        else:
            self.start_error = None
            return SUCCESS
        undo()
        return FAILURE

    def _undo_activate(self) -> None:
        self.deactivate()
        for subscription in list(self._subscriptions_of_ours):
            self.unsubscribe(subscription)
        self.active = False

    def _unsubscribe_expected(self) -> None:
        for subscription in list(self._expected.values()):
            self.unsubscribe(subscription)

    def _undo_configure(self) -> None:
        self._unsubscribe_expected()
        self.cleanup()
        for publisher in self._publishers_of_ours:
            self.destroy_lifecycle_publisher(publisher)
        self._publishers_of_ours = []
        self.configured = False
