# Debian's /etc/profile sets PATH anew for every login shell: what the image puts in front of it is put there again.
if [ -n "${NB_PYTHON_PREFIX}" ]; then
    for folder in "${NPM_DIR}/bin" "${CONDA_DIR}/bin" "${NB_PYTHON_PREFIX}/bin" "${REPO_DIR}/.local/bin" "${HOME}/.local/bin"; do
        case ":${PATH}:" in
            *":${folder}:"*) ;;
            *) PATH="${folder}:${PATH}" ;;
        esac
    done
    unset folder
    export PATH
fi
