/* A V4L2 camera without a kernel driver: preloaded into a process (LD_PRELOAD), it answers what the process asks of one
 * path as the kernel would, by the V4L2 API of Linux (memory-mapped streaming I/O). Containers cannot load v4l2loopback
 * or vivid; with this the V4L2 code of a real library runs all the same.
 *
 *   V4L2_CAMERA_PATH    a file: the camera is there while it exists; while it holds an "s", the camera has stalled
 *   V4L2_CAMERA_FORMAT  four characters, 16 bits a pixel, such as "Y16 " or "YUYV"
 *   V4L2_CAMERA_WIDTH, V4L2_CAMERA_HEIGHT, V4L2_CAMERA_FPS
 *   V4L2_CAMERA_FRAMES  raw frames, played over and over
 *   V4L2_CAMERA_DELAY_MS  from the exposure, which is what the kernel stamps, to the hand-over
 *
 *   gcc -shared -fPIC -o v4l2_camera.so v4l2_camera.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_BUFFERS 32
#define BYTES_A_PIXEL 2
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct {
    int open, fd, frames, streaming;
    unsigned width, height, fps, format, size, room, buffers, sequence;
    int queue[MOST_BUFFERS];
    unsigned first, behind; /* counters into `queue`: next to fill, next free place */
    double exposure;        /* of the next frame, s of the monotonic clock */
    unsigned char *memory;
} camera;

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static double delay(void) { return atof(setting("V4L2_CAMERA_DELAY_MS", "0")) / 1e3; }

static int plugged_in(void) { return access(setting("V4L2_CAMERA_PATH", ""), F_OK) == 0; }

static int stalled(void) {
    char letter = 0;
    int file = REAL(open)(setting("V4L2_CAMERA_PATH", ""), O_RDONLY);
    if (file >= 0) {
        if (read(file, &letter, 1) < 1) letter = 0;
        REAL(close)(file);
    }
    return letter == 's';
}

static int frame_is_ready(void) {
    return camera.streaming && camera.first != camera.behind && now() >= camera.exposure + delay() && !stalled();
}

static int fail(int reason) {
    errno = reason;
    return -1;
}

static int open_camera(void) {
    if (camera.open) return fail(EBUSY);
    memset(&camera, 0, sizeof camera);
    const char *name = setting("V4L2_CAMERA_FORMAT", "YUYV");
    camera.format = v4l2_fourcc(name[0], name[1], name[2], name[3]);
    camera.width = atoi(setting("V4L2_CAMERA_WIDTH", "640"));
    camera.height = atoi(setting("V4L2_CAMERA_HEIGHT", "480"));
    camera.fps = atoi(setting("V4L2_CAMERA_FPS", "30"));
    camera.size = camera.width * camera.height * BYTES_A_PIXEL;
    camera.room = (camera.size + 4095) & ~4095u;
    camera.fd = memfd_create("v4l2_camera", 0);
    if (ftruncate(camera.fd, (off_t)camera.room * MOST_BUFFERS)) return -1;
    camera.memory = mmap(NULL, (size_t)camera.room * MOST_BUFFERS, PROT_READ | PROT_WRITE, MAP_SHARED, camera.fd, 0);
    camera.frames = REAL(open)(setting("V4L2_CAMERA_FRAMES", ""), O_RDONLY);
    if (camera.frames < 0) return -1;
    camera.open = 1;
    return camera.fd;
}

static int take_frame(struct v4l2_buffer *buffer) {
    if (!camera.streaming) return fail(EINVAL);
    if (!frame_is_ready()) return fail(EAGAIN);
    /* A reader that was away finds the newest frame in the first free buffer; those between had no room. */
    unsigned missed = (unsigned)((now() - delay() - camera.exposure) * camera.fps);
    double exposure = camera.exposure + (double)missed / camera.fps;
    camera.sequence += missed;
    camera.exposure = exposure + 1.0 / camera.fps;
    buffer->index = camera.queue[camera.first++ % MOST_BUFFERS];
    buffer->m.offset = buffer->index * camera.room;
    struct stat frames;
    fstat(camera.frames, &frames);
    off_t place = camera.sequence % (frames.st_size / camera.size) * camera.size;
    if (pread(camera.frames, camera.memory + buffer->m.offset, camera.size, place) != camera.size) return fail(EIO);
    buffer->bytesused = buffer->length = camera.size;
    buffer->sequence = camera.sequence++;
    buffer->field = V4L2_FIELD_NONE;
    buffer->memory = V4L2_MEMORY_MMAP;
    buffer->flags = V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = (long)exposure;
    buffer->timestamp.tv_usec = (long)((exposure - (long)exposure) * 1e6);
    return 0;
}

static int describe(struct v4l2_capability *answer) {
    memset(answer, 0, sizeof *answer);
    strcpy((char *)answer->driver, "preloaded");
    strcpy((char *)answer->card, "camera without a kernel driver");
    answer->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    answer->capabilities = answer->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int tell_format(struct v4l2_format *answer) {
    if (answer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
    struct v4l2_pix_format *picture = &answer->fmt.pix;
    picture->width = camera.width;
    picture->height = camera.height;
    picture->pixelformat = camera.format;
    picture->field = V4L2_FIELD_NONE;
    picture->bytesperline = camera.width * BYTES_A_PIXEL;
    picture->sizeimage = camera.size;
    picture->colorspace = V4L2_COLORSPACE_SRGB;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    if (!plugged_in()) return fail(ENODEV);
    struct v4l2_buffer *buffer = argument;
    switch (request) {
    case VIDIOC_QUERYCAP: return describe(argument);
    case VIDIOC_G_INPUT: *(int *)argument = 0; return 0;
    case VIDIOC_S_INPUT: return *(int *)argument ? fail(EINVAL) : 0;
    case VIDIOC_G_FMT: case VIDIOC_TRY_FMT: case VIDIOC_S_FMT:
        return tell_format(argument); /* as UVC cameras do: whatever is asked, it says what it has */
    case VIDIOC_G_PARM: case VIDIOC_S_PARM: {
        struct v4l2_captureparm *pace = &((struct v4l2_streamparm *)argument)->parm.capture;
        pace->capability = V4L2_CAP_TIMEPERFRAME;
        pace->timeperframe.numerator = 1;
        pace->timeperframe.denominator = camera.fps;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wish = argument;
        if (wish->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
        if (wish->count > MOST_BUFFERS) wish->count = MOST_BUFFERS;
        camera.buffers = wish->count;
        camera.first = camera.behind = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF:
        if (buffer->index >= camera.buffers) return fail(EINVAL);
        buffer->length = camera.size;
        buffer->m.offset = buffer->index * camera.room;
        buffer->flags = 0;
        return 0;
    case VIDIOC_QBUF: camera.queue[camera.behind++ % MOST_BUFFERS] = buffer->index; return 0;
    case VIDIOC_DQBUF: return take_frame(buffer);
    case VIDIOC_STREAMON:
        camera.streaming = 1;
        camera.exposure = now();
        return 0;
    case VIDIOC_STREAMOFF:
        camera.streaming = 0;
        camera.first = camera.behind = 0;
        return 0;
    case VIDIOC_QUERYCTRL: case VIDIOC_G_CTRL: case VIDIOC_S_CTRL: return fail(EINVAL);
    default: return fail(ENOTTY);
    }
}

#define OPEN(name)                                                                                     \
    int name(const char *path, int flags, ...) {                                                       \
        va_list rest;                                                                                  \
        va_start(rest, flags);                                                                         \
        int mode = va_arg(rest, int);                                                                  \
        va_end(rest);                                                                                  \
        /* Programs open a device to read and to write it; our own looks at its path only read. */     \
        int asks = (flags & O_ACCMODE) == O_RDWR && strcmp(path, setting("V4L2_CAMERA_PATH", "")) == 0; \
        return asks && plugged_in() ? open_camera() : REAL(name)(path, flags, mode);                   \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (camera.open && fd == camera.fd) {
        munmap(camera.memory, (size_t)camera.room * MOST_BUFFERS);
        REAL(close)(camera.frames);
        camera.open = 0;
    }
    return REAL(close)(fd);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (camera.open && fd == camera.fd) return answer(request & 0xffffffff, argument);
    return REAL(ioctl)(fd, request, argument);
}

int select(int count, fd_set *readable, fd_set *writable, fd_set *others, struct timeval *patience) {
    if (!camera.open || !readable || count <= camera.fd || !FD_ISSET(camera.fd, readable))
        return REAL(select)(count, readable, writable, others, patience);
    double end = now() + (patience ? patience->tv_sec + patience->tv_usec * 1e-6 : 1e9);
    while (plugged_in() && !frame_is_ready()) {
        if (now() >= end) {
            FD_ZERO(readable);
            return 0;
        }
        usleep(1000);
    }
    return 1;
}
