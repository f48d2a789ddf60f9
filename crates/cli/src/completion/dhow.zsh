#compdef dhow
# Completion of dhow for zsh: put it as _dhow into a directory of $fpath, or
# `source <(dhow completion zsh)`.
_dhow() {
    local -a candidates
    local word about files
    while IFS=$'\t' read -r word about; do
        if [[ $word == :files ]]; then
            files=yes
        else
            candidates+=("${word//:/\\:}:${about}")
        fi
    done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2> /dev/null)
    [[ -n $files ]] && _files
    (( ${#candidates} )) && _describe dhow candidates
}
if [[ $funcstack[1] == _dhow ]]; then
    _dhow "$@"
else
    compdef _dhow dhow
fi
