# Sourced by scripts/setup: system packages. Only what is missing is installed, as root or through sudo, without questions.

BUILD_PACKAGES=(pkg-config libzstd-dev libxxhash-dev libssl-dev nlohmann-json3-dev libcli11-dev)
TEST_PACKAGES=(ccache libgtest-dev libgmock-dev zstd)
DEMO_PACKAGES=(zstd)
AARCH64_PACKAGES=(qemu-user libzstd-dev:arm64 libxxhash-dev:arm64 libssl-dev:arm64 libgtest-dev:arm64 libgmock-dev:arm64)

_apt_is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

_apt_run() {
  if [[ $(id -u) == 0 ]]; then
    DEBIAN_FRONTEND=noninteractive apt-get "$@"
  elif [[ -r /dev/tty && -t 2 ]]; then
    sudo DEBIAN_FRONTEND=noninteractive apt-get "$@"
  else
    sudo -n DEBIAN_FRONTEND=noninteractive apt-get "$@"
  fi
}

_apt_add_arm64() {
  if [[ $(id -u) == 0 ]]; then dpkg --add-architecture arm64; else sudo dpkg --add-architecture arm64; fi
}

_apt_fetch_and_install() {
  # A stale mirror list is no reason to stop: the install below says whether it matters.
  _apt_run update -q || true
  _apt_run install -q -y --no-install-recommends "$@"
}

# apt_install PACKAGE...: installs those that are missing. FLYWEIGHT_NO_APT=1 leaves the system alone and trusts it.
apt_install() {
  [[ ${FLYWEIGHT_NO_APT:-} == 1 ]] && return 0
  local missing=() package
  for package in "$@"; do
    _apt_is_installed "$package" || missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0
  command -v apt-get >/dev/null ||
    die "there is no apt-get here. Install your system's like of these, then set FLYWEIGHT_NO_APT=1: ${missing[*]}"
  if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
    die "packages are missing, and there is neither root nor sudo to install them. As root: apt-get install ${missing[*]}"
  fi
  step apt "Installing ${#missing[@]} system packages (${missing[0]}, ...)" _apt_fetch_and_install "${missing[@]}"
}

_compiler_is_good() {
  local major
  major=$("$1" -dumpversion 2>/dev/null) || return 1
  [[ ${major%%.*} =~ ^[0-9]+$ && ${major%%.*} -ge 12 ]]
}

# Prints a C++20 compiler: CXX as it was set, or g++ 12 or later.
find_compiler() {
  local candidate
  for candidate in ${CXX:-} g++ g++-15 g++-14 g++-13 g++-12; do
    if command -v "$candidate" >/dev/null && _compiler_is_good "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# A compiler for aarch64, its libraries beside those of this machine, and qemu. Debian has them under one roof; on Ubuntu the libraries are those of another
# archive (ports.ubuntu.com), which has to be in the sources already.
install_aarch64() {
  local packages=("${AARCH64_PACKAGES[@]}")
  if ! command -v aarch64-linux-gnu-g++ aarch64-linux-gnu-g++-12 >/dev/null; then packages+=(g++-12-aarch64-linux-gnu); fi
  if [[ ${FLYWEIGHT_NO_APT:-} != 1 ]] && command -v dpkg >/dev/null && ! dpkg --print-foreign-architectures | grep -qx arm64; then
    step apt-arm64 "Adding the architecture arm64 to dpkg" _apt_add_arm64
  fi
  apt_install "${packages[@]}"
}
