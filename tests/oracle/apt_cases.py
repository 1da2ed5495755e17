"""What repositories write into apt.txt, one line a case, as in scientific and teaching repositories; and random ones."""

import random
from collections.abc import Sequence

__all__ = ["MULTI_ARCH", "PINNED", "REALISTIC", "WORDS", "random_cases"]

REALISTIC = [line.split() for line in """\
git
curl wget
git curl graphviz
git git-lfs make
build-essential
build-essential cmake pkg-config
g++ gfortran make
gcc-12 g++-12
clang lld libomp-dev
llvm-dev
ffmpeg
ffmpeg libsm6 libxext6
libgl1
libgl1 libglib2.0-0
libgl1-mesa-dri libegl1 libglu1-mesa
libxrender1 libxi6 libxtst6
xvfb
xvfb x11vnc websockify
dbus-x11 xfce4 xfce4-panel xfce4-session xfce4-settings xorg xubuntu-icon-theme tigervnc-standalone-server
lxde-core tightvncserver
fluxbox xterm
mesa-utils libosmesa6
libosmesa6-dev libglfw3-dev
graphviz libgraphviz-dev
pandoc
pandoc texlive-xetex texlive-fonts-recommended texlive-plain-generic
texlive-latex-base texlive-latex-extra dvipng cm-super
texlive-full
latexmk
lmodern fonts-dejavu fonts-liberation2
fonts-noto-cjk fonts-ipafont-gothic
fontconfig
inkscape
imagemagick
imagemagick libmagick++-dev
poppler-utils
tesseract-ocr tesseract-ocr-deu
ghostscript gsfonts
libreoffice-writer
librsvg2-bin
nodejs
nodejs npm
yarnpkg
chromium chromium-driver
firefox-esr
default-jre
default-jdk
default-jdk-headless ant maven
openjdk-17-jdk
scala
r-base
r-base-core r-cran-tidyverse
r-base-dev libcurl4-openssl-dev libssl-dev libxml2-dev
libudunits2-dev libgdal-dev libgeos-dev libproj-dev
libfontconfig1-dev libharfbuzz-dev libfribidi-dev libfreetype6-dev libpng-dev libtiff5-dev libjpeg-dev
libgit2-dev libssh2-1-dev
libv8-dev
libsodium-dev libzmq3-dev
jags
libnlopt-dev libglpk-dev coinor-cbc coinor-libcbc-dev
glpk-utils
libgsl-dev
libfftw3-dev
libopenblas-dev liblapack-dev
libblas-dev libatlas-base-dev
libeigen3-dev libboost-all-dev
libhdf5-dev hdf5-tools
libnetcdf-dev netcdf-bin nco cdo
libeccodes-dev libeccodes-tools
gdal-bin python3-gdal
gmt gmt-gshhg-low
grass qgis
openmpi-bin libopenmpi-dev
mpich
libscalapack-mpi-dev
petsc-dev slepc-dev
python3 python3-pip
python3-dev python3-venv
python3-numpy python3-scipy python3-matplotlib
python3-tk
python3-opencv
python3-pyqt5 qtbase5-dev
python3-h5py python3-mpi4py
python-is-python3
ipython3 jupyter-notebook
julia
octave
octave-control gnuplot-nox
gnuplot
maxima
sagemath
gap pari-gp
coq
ghc cabal-install
ocaml opam
rustc cargo
golang
ruby ruby-dev
perl cpanminus
swi-prolog
sqlite3 libsqlite3-dev
postgresql postgresql-client libpq-dev
postgresql-server-dev-all
mariadb-client libmariadb-dev
mysql-server
redis
mongodb
nginx
apache2 libapache2-mod-php
openssh-client rsync
openssh-server
sudo vim nano less
man-db locales tzdata
zip unzip p7zip-full bzip2 xz-utils zstd
tree htop jq
tmux screen
parallel
time bc
gdb valgrind strace
gnupg ca-certificates apt-transport-https software-properties-common
bwa samtools bcftools bedtools
ncbi-blast+ mafft muscle
fastqc trimmomatic
bowtie2 hisat2
emboss clustalo
gromacs
lammps
quantum-espresso
openbabel libopenbabel-dev
avogadro pymol
paraview
vtk9 libvtk9-dev
freecad
blender
povray
sox libsox-fmt-all
libsndfile1 portaudio19-dev
espeak espeak-ng
praat
festival
hunspell hunspell-de-de
mecab libmecab-dev mecab-ipadic-utf8
aspell-en
postfix
exim4
msmtp-mta
default-mta
mail-transport-agent
cron
systemd
systemd-sysv
sysvinit-core
network-manager
docker.io
podman buildah
qemu-user-static
emacs-nox
vim-gtk3
gawk
awk
original-awk
bsd-mailx
netcat-openbsd
netcat
libcurl4-gnutls-dev
libcurl4-openssl-dev libcurl4-gnutls-dev
libjpeg-turbo8
rstudio-server
this-package-does-not-exist
perl-base
bash coreutils
libc6
libc6-dev
libssl3
mawk
apt
tzdata
g++
wine
steam""".splitlines()]  # fmt: skip


# What apt-get's words can say beside a name: versions, releases, modifiers; with backports and a vendor's source.
WORDS = [line.split() for line in """\
cmake/{release}-backports
golang-go/{release}-backports
systemd/{release}-backports
git/vendor
git/nosuch
git/newest
bash/installed
git/installed
git=1:99.1-1
curl=0.1
curl=7.*
nosuch=1
vendor-runtime
vendor-runtime=1
vendor-mta
exim4 vendor-mta
mail-transport-agent/vendor
vendor-foreign
vendor-foreign:arm64
git vendor-tools
git- curl
graphviz fonts-dejavu-core-
mawk- gawk
bash-
e2fsprogs- git
awk-
g++
g+
postfix exim4-base-
ffmpeg libsdl2-2.0-0-""".splitlines()]  # fmt: skip

# On a system with held packages and pins.
PINNED = [line.split() for line in """\
git
bash
perl-base
openssl
curl
tzdata
fonts-dejavu
graphviz
python3-numpy
libcurl4-openssl-dev libssl-dev
perl
r-base-core""".splitlines()]  # fmt: skip

MULTI_ARCH = [line.split() for line in """\
libc6:i386
wine32:i386
wine wine32:i386
zlib1g:i386
libgl1:i386
perl:i386
python3:i386
bash:i386
make:i386
git:arm64
git:any
libstdc++6:i386 libgcc-s1:i386
libxml2-dev:i386 libxml2-dev
default-mta:i386
tzdata:i386
locales:i386""".splitlines()]  # fmt: skip


def random_cases(names: Sequence[str], *, singles: int, sets: int, seed: int) -> list[list[str]]:
    """Names of an archive picked at random: one alone, and two to six together."""
    dice = random.Random(seed)
    ordered = sorted(names)
    return [[dice.choice(ordered)] for _ in range(singles)] + [
        dice.sample(ordered, dice.randint(2, 6)) for _ in range(sets)
    ]
