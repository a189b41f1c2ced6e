#!/usr/bin/env bash
# Install what pip cannot bring: a compiler for the interfaces, sound libraries, and a browser for the tests.
# Does nothing where everything is there; says what to type where it may not install.
#
#   system_packages.sh PYTHON          variable: EXTRAS, as of setup_env.sh
set -euo pipefail
python=$1

missing=() optional=()
need() { # need PACKAGE COMMAND...: PACKAGE is missing if COMMAND fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
want() { # as need, but only where the release has PACKAGE
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || optional+=("$package")
}
to_be_had() { # those of `optional` that apt knows
  local package
  for package in "${optional[@]}"; do
    ! apt-cache show "$package" >/dev/null 2>&1 || echo "$package"
  done
}
has_library() { /sbin/ldconfig -p | grep -F "$1"; }
has_headers() { "$python" -c 'import os, sysconfig as s; open(os.path.join(s.get_paths()["include"], "Python.h"))'; }
has_element() { compgen -G "/usr/lib/*/gstreamer-1.0/libgst$1.so"; }
has_gi() { /usr/bin/python3 -c 'import gi'; }
has_rtsp_server() { compgen -G '/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib'; }
has_alsa_pulse() { compgen -G '/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so'; }

need g++ command -v g++
need make command -v make
need git command -v git
need "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev" has_headers
need libgl1 has_library libGL.so.1                    # opencv-python
need libglib2.0-0 has_library libglib-2.0.so.0        # opencv-python
need libportaudio2 has_library libportaudio.so.2      # sounddevice: microphone
need libusb-1.0-0 has_library libusb-1.0.so.0         # pyrealsense2: RealSense cameras
# What only the tests need; `make test` asks for their extras.
if [[ ",${EXTRAS:-}," == *,browser,* ]]; then
  need pulseaudio command -v pulseaudio                 # virtual microphone of the tests
  need pulseaudio-utils command -v pactl                # the same
  need libasound2-plugins has_alsa_pulse                # the same: PortAudio reaches PulseAudio through ALSA
  need python3-gi has_gi                                # network camera of the tests: RTSP server of GStreamer
  need gir1.2-gst-rtsp-server-1.0 has_rtsp_server       # the same
  need gstreamer1.0-plugins-base has_element videotestsrc # the same: a picture
  need gstreamer1.0-plugins-good has_element rtp        # the same: RTP
  need gstreamer1.0-plugins-ugly has_element x264       # the same: H.264

  want libfastrtps-dev test -e /usr/include/fastdds/dds/domain/DomainParticipant.hpp # tests of DDS security
  want openssl command -v openssl                       # the same
  want chromium command -v chromium                     # the view's test opens it in a real browser
  want chromium-driver command -v chromedriver          # the same
  want iproute2 command -v ip                           # the same from a second machine: network namespaces
  want tesseract-ocr command -v tesseract               # the same: reads the labels on its page
fi

if [ ${#missing[@]} -eq 0 ] && { [ "$(id -u)" -ne 0 ] || [ -z "$(to_be_had)" ]; }; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "warning: not found: ${missing[*]} (Debian names); install them with this system's package manager" >&2
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "warning: not installed: ${missing[*]}" >&2
  echo "         type: sudo apt-get install ${missing[*]}" >&2
  echo "         Without g++ and headers the set-up fails; without the others tests of devices and of the view are skipped." >&2
  exit 0
fi
apt-get update -qq
mapfile -t -O ${#missing[@]} missing < <(to_be_had)
echo "installing ${missing[*]}" >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
