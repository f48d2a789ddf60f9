# Completion of dhow for fish: put it into ~/.config/fish/completions/.
function __dhow_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] __complete -- $words[2..-1] $current 2> /dev/null)
        if string match -q ':files*' -- $line
            __fish_complete_path $current
        else
            echo $line
        end
    end
end
complete -c dhow -f -a '(__dhow_complete)'
