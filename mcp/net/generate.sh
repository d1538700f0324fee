# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# sh generate.sh YNL [OUT]: what the specification mcp_net.yaml says, as C: the policy and the header of user space.
# YNL is the kernel's tools/net/ynl. The results are kept in the project, so that a build needs no Python; a test
# (boot-tests/test_network.py) makes them anew and compares.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
ynl=$1
out=${2:-$here/..}
mkdir -p "$out/net" "$out/include/uapi/linux"
# The tool wants to validate against a schema beside the specification, with a library that is not everywhere.
tool='import runpy, sys, types
schema = types.ModuleType("jsonschema"); schema.validate = lambda *_: None; sys.modules["jsonschema"] = schema
sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Where the tool looks for things: a tree that looks like the kernel.
mkdir -p "$work/Documentation/netlink/specs"
: > "$work/MAINTAINERS"
cp "$here/mcp_net.yaml" "$work/Documentation/netlink/specs/"
printf '{}\n' > "$work/Documentation/netlink/genetlink-legacy.yaml"
spec=$work/Documentation/netlink/specs/mcp_net.yaml
generate() {
	made=$work/$(basename "$3")
	python3 -c "$tool" "$ynl/ynl-gen-c.py" --spec "$spec" --mode "$1" "$2" -o "$made"
	sed -e 's|Documentation/netlink/specs/|mcp/net/|' "$made" > "$3"
}
generate uapi --header "$out/include/uapi/linux/mcp_net.h"
generate kernel --header "$out/net/mcp_net_gen.h"
generate kernel --source "$out/net/mcp_net_gen.c"
