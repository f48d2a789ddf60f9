# Completion of dhow for bash: `source <(dhow completion bash)`.
_dhow() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word about current colon
    # Bash takes words apart at colons, which names of images have.
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]} - 1]}
    COMPREPLY=()
    while IFS=$'\t' read -r word about; do
        if [[ $word == :files ]]; then
            compopt -o default 2> /dev/null
        else
            COMPREPLY+=("$word")
        fi
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2> /dev/null)
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        colon=${current%"${current##*:}"}
        COMPREPLY=("${COMPREPLY[@]#"$colon"}")
    fi
    # What goes on after a container's name is its path.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2> /dev/null
    return 0
}
complete -F _dhow dhow
