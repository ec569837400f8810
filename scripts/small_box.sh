#!/usr/bin/env bash
# Run nanoray as on a locked-down box: read-only file systems but /tmp, no network, 512 MB of memory.
#
#   sudo scripts/small_box.sh predict RADIOGRAPH ...       any arguments of nanoray
#
# Prints the most memory that was in use, the files read among it, after what nanoray prints.
# TEMPORARY=no leaves /tmp read-only too.
# Needs root, Linux with the memory controller of cgroups (version 1 or 2), and unshare. NANORAY
# (default: the one on the path) is the program, MEMORY (default 512) the limit in MB.
#
# Exit status: that of nanoray; 137 where it was ended for its memory; 77 where the machine lacks
# what is needed.
set -euo pipefail

nanoray=${NANORAY:-$(command -v nanoray || true)}
limit=$((${MEMORY:-512} * 1000000))
lacking() { echo "small_box: $1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || lacking "root is needed, for mounts and cgroups"
[ -x "$nanoray" ] || lacking "nanoray not found; set NANORAY to its path"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  group=/sys/fs/cgroup/nanoray-$$ bound=memory.max peak=memory.peak
elif [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/nanoray-$$ bound=memory.limit_in_bytes
  peak=memory.max_usage_in_bytes
else
  lacking "no memory controller of cgroups"
fi
mkdir "$group" || lacking "no cgroup can be made"
trap 'rmdir "$group"' EXIT
echo "$limit" >"$group/$bound" || lacking "the cgroup takes no limit of memory"
[ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"

status=0
unshare --net --mount --propagation private bash -c '
  echo $$ >"$1/cgroup.procs"
  # Every mounted file system but those of the kernel becomes read-only in this process alone.
  while read -r _ folder kind _; do
    case $kind in proc|sysfs|devtmpfs|devpts|cgroup*|mqueue|binfmt_misc|securityfs) continue ;; esac
    mount -o remount,bind,ro "$folder" 2>/dev/null || true
  done </proc/mounts
  # As read-only systems have it: what is temporary is in memory, and counts as such.
  [ "${TEMPORARY:-yes}" = no ] || mount -t tmpfs -o size=64m tmpfs /tmp
  if (: >"$PWD/.nanoray-writable") 2>/dev/null; then echo "small_box: still writable" >&2; exit 77; fi
  shift
  exec "$@"
' bash "$group" "$nanoray" "$@" || status=$?
used=$(cat "$group/$peak" 2>/dev/null || echo 0)
echo "small_box: at most $((used / 1000000)) of $((limit / 1000000)) MB in use; exit status $status" >&2
exit "$status"
