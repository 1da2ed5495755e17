# Login shells have the image's environment active, with or without conda itself: its variables, the scripts of its
# packages, and, where conda is there, its shell function. Read behind binder-path.sh, whose PATH scripts may add to.
if [ -n "${NB_PYTHON_PREFIX}" ] && [ -d "${NB_PYTHON_PREFIX}/conda-meta" ] && [ "${CONDA_PREFIX}" != "${NB_PYTHON_PREFIX}" ]; then
    CONDA_PREFIX="${NB_PYTHON_PREFIX}"
    CONDA_DEFAULT_ENV="${NB_PYTHON_PREFIX}"
    CONDA_SHLVL=1
    export CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL
    for script in "${CONDA_PREFIX}"/etc/conda/activate.d/*.sh; do
        if [ -r "${script}" ]; then
            . "${script}"
        fi
    done
    unset script
fi
if [ -r "${CONDA_DIR}/etc/profile.d/conda.sh" ]; then
    . "${CONDA_DIR}/etc/profile.d/conda.sh"
fi
