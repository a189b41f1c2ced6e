"""The detector alone, for a robot whose camera and embeddings come from elsewhere.

ros2 launch imagebind_node detector.launch.py
ros2 service call /detector/set_query imagebind_msgs/srv/SetQuery "{label: dog, terms: [{modality: text, text: dog}]}"
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
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
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
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
        description="Configure and activate the node; false leaves that to a lifecycle manager.",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        choices=SWITCH,
        description="Start the node again when it ended. With autostart:=false the manager has to configure it anew.",
    ),
    DeclareLaunchArgument(
        "respawn_delay", default_value="2.0", description="Seconds before an ended node is started again."
    ),
    DeclareLaunchArgument(
        "enclave",
        default_value="/imagebind_node",
        description="The security enclave lies below this name; used only with ROS_SECURITY_ENABLE=true.",
    ),
    DeclareLaunchArgument(
        "image", default_value="camera/image_raw", description="Topic of the pictures to search."
    ),
    DeclareLaunchArgument("cue", default_value="embedding/audio", description="Topic of the live cue."),
]


def start_node(context: LaunchContext) -> list:
    """Called when the arguments have their values."""
    value = context.launch_configurations
    chosen: dict = {name: value[name] == "true" for name in ("use_sim_time", "autostart")}
    chosen.update({name: value[name] for name in ("model", "device", "precision") if value[name]})
    return [
        Node(
            package="imagebind_node",
            executable="detector",
            name="detector",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), chosen],
            remappings=[
                ("camera/image_raw", LaunchConfiguration("image")),
                ("camera/image_raw/compressed", [LaunchConfiguration("image"), "/compressed"]),
                ("embedding/audio", LaunchConfiguration("cue")),
            ],
            ros_arguments=[
                "--log-level",
                LaunchConfiguration("log_level"),
                "--enclave",
                f"/{value['enclave'].strip('/')}/detector",
            ],
            respawn=value["respawn"] == "true",
            respawn_delay=float(value["respawn_delay"]),
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` calls."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_node)])
