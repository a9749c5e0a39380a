#!/usr/bin/env bash
# build-apiserver.sh [DIR] - builds a real kube-apiserver, which no package holds, from Debian's own source of it.
# Leaves DIR/kube-apiserver and prints its path; does nothing else where that is there already.
# Needs apt-get, the network, 2 GB below DIR while it works, and about 4 minutes of two cores.
# Everything is unpacked below DIR, nothing is installed: neither the compiler nor what it builds.
set -euo pipefail
version=1.20.2
out=${1:-${DROVER_KUBE_CACHE:-/var/cache/drover-lab}/kube-apiserver-$version}
mkdir -p "$out"
out=$(cd "$out" && pwd)
binary=$out/kube-apiserver
[ -x "$binary" ] && { echo "$binary"; exit 0; }

exec 9>"$out/.lock"
flock 9
[ -x "$binary" ] && { echo "$binary"; exit 0; }
echo "Building kube-apiserver $version from Debian's source package, about 4 minutes, once; it stays in $out" >&2

work=$out/.build
log=$out/build.log
clean() { chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"; }
finish() {
  clean
  [ -x "$binary" ] || { tail -20 "$log" >&2; echo "kube-apiserver was not built; all of the story is in $log" >&2; }
}
clean
mkdir -p "$work"/{apt/lists/partial,apt/cache/archives/partial,apt/sources,tmp,tree/src/k8s.io/kubernetes}
trap finish EXIT
cd "$work"
: >"$log"

step() { echo "  $(date +%T) $*" >&2; echo "== $*" >>"$log"; }
again() { # CMD... - a mirror that stumbles is asked three times
  local left=3
  until "$@" >>"$log" 2>&1; do
    [ $((left -= 1)) -gt 0 ] || return 1
    sleep 5
  done
}

step "fetching the sources and the compiler"
# The system's own archives, as sources too, whichever of the two forms apt is told of them in.
for file in /etc/apt/sources.list.d/*.sources; do
  [ ! -e "$file" ] || sed 's/^Types:.*/Types: deb deb-src/' "$file" >"apt/sources/$(basename "$file")"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ ! -e "$file" ] || sed -nE 's/^deb([[:space:]])/deb\1/p; s/^deb([[:space:]])/deb-src\1/p' "$file" \
    >"apt/sources/$(basename "$file")"
done
apt=(apt-get -q -oDir::Etc::sourcelist=/dev/null "-oDir::Etc::sourceparts=$work/apt/sources"
  "-oDir::State::lists=$work/apt/lists" "-oDir::Cache=$work/apt/cache"
  -oAPT::Sandbox::User=root -oAcquire::Retries=5)
# An archive of somebody else's may well have no sources.
again "${apt[@]}" update || true
again "${apt[@]}" source --download-only kubernetes || { echo "no archive has the source of kubernetes" >>"$log"; exit 1; }
again "${apt[@]}" download golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
ls kubernetes_*"$version"*.orig.tar.gz >>"$log"

step "unpacking"
for package in *.deb; do dpkg -x "$package" root; done
goroot=$work/root/usr/lib/go-1.19
# Its links lead to the root of an installed system.
for link in "$goroot"/*; do
  [ ! -L "$link" ] || ln -sfn "$work/root$(readlink -m "$link" | sed "s#^$work/root##")" "$link"
done
source=$work/tree/src/k8s.io/kubernetes
tar xzf kubernetes_*.orig.tar.gz -C "$source" --strip-components=1
# The reflect2 of 1.20 crashes when it is built with Go 1.18 or newer.
reflect2=$source/vendor/github.com/modern-go/reflect2
rm -rf "$reflect2"
cp -r root/usr/share/gocode/src/github.com/modern-go/reflect2 "$reflect2"

export GOROOT=$goroot GOPATH=$work/tree GOCACHE=$work/gocache GOTMPDIR=$work/tmp TMPDIR=$work/tmp HOME=$work/tmp
export GO111MODULE=off GOENV=off GOFLAGS= CGO_ENABLED=0
go=$goroot/bin/go
cd "$source"

step "generating the OpenAPI part"
"$go" build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen >>"$log" 2>&1
inputs=$(grep -rl --include='*.go' '+k8s:openapi-gen=' staging/src/k8s.io pkg cmd \
  | grep -v '/testdata/\|_test.go\|kube-openapi\|sample\|code-generator\|zz_generated' | xargs -n1 dirname | sort -u \
  | sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^pkg/#k8s.io/kubernetes/pkg/#' \
    -e 's#^cmd/#k8s.io/kubernetes/cmd/#' | paste -sd,)
"$work/openapi-gen" -O zz_generated.openapi -h hack/boilerplate/boilerplate.generatego.txt -i "$inputs" \
  -p k8s.io/kubernetes/pkg/generated/openapi -r "$work/violations.txt" >>"$log" 2>&1
sed -i 's#"k8s.io/kubernetes/vendor/#"#g' pkg/generated/openapi/zz_generated.openapi.go

step "building"
info=k8s.io/kubernetes/vendor/k8s.io/component-base/version
"$go" build -ldflags "-s -w -X $info.gitVersion=v$version -X $info.gitMajor=1 -X $info.gitMinor=20" \
  -o "$work/kube-apiserver" ./cmd/kube-apiserver >>"$log" 2>&1
"$work/kube-apiserver" --version | tee -a "$log" | grep -q "v$version\$"

mv "$work/kube-apiserver" "$binary"
step "done"
echo "$binary"
