"""The whole graph: drivers, encoder and detector, each a process of its own, or all in one.

ros2 launch imagebind_node bringup.launch.py
ros2 launch imagebind_node bringup.launch.py camera:=false image:=/camera/camera/color/image_raw
ros2 launch imagebind_node bringup.launch.py namespace:=robot1 composed:=true log_level:=debug
ros2 launch imagebind_node bringup.launch.py --show-args
"""

import tempfile
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnShutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

DEFAULTS = str(Path(__file__).resolve().parents[1] / "config" / "default.yaml")
SWITCH = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("model", default_value="", description="Model family; empty: as in params_file."),
    DeclareLaunchArgument(
        "device", default_value="", description="PyTorch device; empty: as in params_file."
    ),
    DeclareLaunchArgument(
        "precision",
        default_value="",
        choices=["", "fp32", "bf16", "fp16", "int8"],
        description="Arithmetic of the networks; empty: as in params_file.",
    ),
    DeclareLaunchArgument(
        "modalities",
        default_value="",
        description="Towers of the encoder, such as vision,audio; empty: as in params_file.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of every node."),
    DeclareLaunchArgument("params_file", default_value=DEFAULTS, description="ROS parameter file."),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=SWITCH, description="Take the time from /clock."
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity that is logged.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=SWITCH,
        description="Configure and activate the nodes; false leaves that to a lifecycle manager.",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        choices=SWITCH,
        description="Start a node that ended again. With autostart:=false the manager has to configure it anew.",
    ),
    DeclareLaunchArgument(
        "respawn_delay", default_value="2.0", description="Seconds before an ended node is started again."
    ),
    DeclareLaunchArgument(
        "enclave",
        default_value="/imagebind_node",
        description="Security enclaves, one a node below this name; used only with ROS_SECURITY_ENABLE=true.",
    ),
    DeclareLaunchArgument(
        "composed",
        default_value="false",
        choices=SWITCH,
        description="All nodes in one process: samples are handed over by reference.",
    ),
    DeclareLaunchArgument(
        "camera", default_value="true", choices=SWITCH, description="Start our camera driver."
    ),
    DeclareLaunchArgument(
        "microphone", default_value="true", choices=SWITCH, description="Start our microphone driver."
    ),
    DeclareLaunchArgument(
        "realsense",
        default_value="false",
        choices=SWITCH,
        description="Start our RealSense driver in place of the camera driver.",
    ),
    DeclareLaunchArgument(
        "thermal_camera", default_value="false", choices=SWITCH, description="Start our thermal driver."
    ),
    DeclareLaunchArgument(
        "serial_imu", default_value="false", choices=SWITCH, description="Start our driver of serial IMUs."
    ),
    DeclareLaunchArgument(
        "fusion", default_value="false", choices=SWITCH, description="Start the node that adds embeddings up."
    ),
    DeclareLaunchArgument(
        "memory",
        default_value="false",
        choices=SWITCH,
        description="Start the node that remembers what was sensed and can be asked for it.",
    ),
    DeclareLaunchArgument(
        "recognizer",
        default_value="false",
        choices=SWITCH,
        description="Start the node that names what is sensed.",
    ),
    DeclareLaunchArgument(
        "generator",
        default_value="false",
        choices=SWITCH,
        description="Start the node that draws pictures of what is asked for.",
    ),
    DeclareLaunchArgument(
        "view", default_value="false", choices=SWITCH, description="Start the live view for browsers."
    ),
]
CORE = ("encoder", "detector")
OPTIONAL = ("fusion", "memory", "recognizer", "generator", "view")
MODEL_NODES = (*CORE, "memory", "recognizer", "generator")
# Launch argument -> driver that it starts.
DRIVERS = {
    "camera": "camera",
    "realsense": "realsense",
    "thermal_camera": "thermal",
    "microphone": "microphone",
    "serial_imu": "imu",
}
# Launch argument -> relative topic that it renames, for robots that have their own drivers.
TOPICS = {
    "image": "camera/image_raw",
    "depth": "depth/image_raw",
    "thermal": "thermal/image_raw",
    "audio": "audio",
    "imu": "imu/data",
}
ARGUMENTS += [
    DeclareLaunchArgument(name, default_value=topic, description=f"Topic to use in place of {topic}.")
    for name, topic in TOPICS.items()
]


def parameters_of(node: str, context: LaunchContext) -> dict:
    """Parameters that launch arguments set for one node. They win over params_file."""
    value = context.launch_configurations
    chosen: dict = {name: value[name] == "true" for name in ("use_sim_time", "autostart")}
    if node in MODEL_NODES:
        chosen.update({name: value[name] for name in ("model", "device", "precision") if value[name]})
    towers = [word.strip() for word in value["modalities"].split(",") if word.strip()]
    if node == "encoder" and towers:
        chosen["modalities"] = towers
    return chosen


def renamed(context: LaunchContext) -> list:
    """Remappings of the topics, and of the compressed one and the camera_info beside each picture topic."""
    pairs = []
    for name, topic in TOPICS.items():
        chosen = context.launch_configurations[name]
        pairs.append((topic, chosen))
        if topic.endswith("image_raw"):
            pairs.append((f"{topic}/compressed", f"{chosen}/compressed"))
            pairs.append((beside(topic), beside(chosen)))
    return pairs


def beside(topic: str) -> str:
    """The camera_info that goes with a picture topic, by the rule of image_transport."""
    folder, slash, _ = topic.rpartition("/")
    return f"{folder}{slash}camera_info"


def process_options(name: str, context: LaunchContext) -> dict:
    """What every process is started with; `name` is that of its enclave."""
    value = context.launch_configurations
    return {
        "namespace": LaunchConfiguration("namespace"),
        "remappings": renamed(context),
        "ros_arguments": [
            "--log-level",
            LaunchConfiguration("log_level"),
            "--enclave",
            f"/{value['enclave'].strip('/')}/{name}",
        ],
        "respawn": value["respawn"] == "true",
        "respawn_delay": float(value["respawn_delay"]),
        "output": "screen",
    }


def separate(names: list, context: LaunchContext) -> list:
    """One process a node."""
    return [
        Node(
            package="imagebind_node",
            executable=name,
            name=name,
            parameters=[LaunchConfiguration("params_file"), parameters_of(name, context)],
            **process_options(name, context),
        )
        for name in names
    ]


def composed(names: list, context: LaunchContext) -> list:
    """One process for all. `-p NODE:NAME:=VALUE` finds no node in a namespace, so the parameters go by file."""
    overrides = {f"/**/{name}": {"ros__parameters": parameters_of(name, context)} for name in names}
    with tempfile.NamedTemporaryFile("w", prefix="imagebind_node_", suffix=".yaml", delete=False) as file:
        yaml.safe_dump(overrides, file)
    return [
        Node(
            package="imagebind_node",
            executable="up",
            parameters=[LaunchConfiguration("params_file"), file.name],
            arguments=["--nodes", ",".join(names)],
            **process_options("up", context),
        ),
        RegisterEventHandler(OnShutdown(on_shutdown=lambda *_: Path(file.name).unlink(missing_ok=True))),
    ]


def start_nodes(context: LaunchContext) -> list:
    """Called when the arguments have their values."""
    value = context.launch_configurations
    wanted = {argument for argument in DRIVERS if value[argument] == "true"}
    if "realsense" in wanted:
        wanted.discard("camera")
    names = [node for argument, node in DRIVERS.items() if argument in wanted] + list(CORE)
    names += [name for name in OPTIONAL if value[name] == "true"]
    return (composed if value["composed"] == "true" else separate)(names, context)


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` calls."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_nodes)])
