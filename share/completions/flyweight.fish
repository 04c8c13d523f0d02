# Completion of flyweight for fish.

set -l verbs compress decompress apply extract list ls info peek stat verify test scan bench diff rebase serve-plan prune migrate repair convert help
set -l none "not __fish_seen_subcommand_from $verbs"
set -l writes "__fish_seen_subcommand_from compress convert; or $none"
set -l levels "__fish_seen_subcommand_from compress convert migrate; or $none"

complete -c flyweight -n $none -a compress -d 'write SRC.fly; a directory is one archive'
complete -c flyweight -n $none -a decompress -d 'write what an archive holds'
complete -c flyweight -n $none -a apply -d 'what a patch gives'
complete -c flyweight -n $none -a extract -d 'take out some files, or tensors'
complete -c flyweight -n $none -a list -d 'the files of an archive, or its tensors'
complete -c flyweight -n $none -a info -d 'a summary'
complete -c flyweight -n $none -a stat -d 'tensors with bits a weight and digests'
complete -c flyweight -n $none -a verify -d 'check every byte'
complete -c flyweight -n $none -a scan -d 'how small each level would make it, and why'
complete -c flyweight -n $none -a bench -d 'levels and zstd on your file'
complete -c flyweight -n $none -a diff -d 'what changed between two models'
complete -c flyweight -n $none -a rebase -d 'make one patch of several, or move it'
complete -c flyweight -n $none -a serve-plan -d 'memory of a base and patches on it'
complete -c flyweight -n $none -a prune -d 'remove versions that nothing needs'
complete -c flyweight -n $none -a migrate -d 'encode anew'
complete -c flyweight -n $none -a repair -d 'mend a damaged archive'
complete -c flyweight -n $none -a convert -d 'compress, or decompress'
complete -c flyweight -n $none -a help -d 'tell more about a verb'
complete -c flyweight -n '__fish_seen_subcommand_from help' -x -a "$verbs"

complete -c flyweight -s o -l output -r -d 'where to write'
complete -c flyweight -s c -l stdout -d 'write to standard output'
complete -c flyweight -s r -l recursive -d 'everything below directories'
complete -c flyweight -s f -l force -d overwrite
complete -c flyweight -s k -l keep -d 'keep the source'
complete -c flyweight -s q -l quiet -d 'no warnings, no progress'
complete -c flyweight -s v -l verbose -d 'say what was done'
complete -c flyweight -s T -l threads -x -d 'threads; 0 is one a CPU'
complete -c flyweight -l json -d 'results as JSON'
complete -c flyweight -s h -l help -d help
complete -c flyweight -s V -l version -d version
complete -c flyweight -n $none -s d -l decompress -d decompress
complete -c flyweight -n $none -s t -l test -d verify
complete -c flyweight -n $none -s l -l list -d list
complete -c flyweight -n $writes -s s -l split -x -d 'in parts of at most SIZE'
complete -c flyweight -n $writes -s x -l strip -x -a 'optimizer adam' -d 'leave tensors out'
complete -c flyweight -n $levels -l fast -d 'compress fastest'
complete -c flyweight -n $levels -l balanced -d 'the default'
complete -c flyweight -n $levels -l high -d smaller
complete -c flyweight -n $levels -s z -l max -d 'smallest, slow'
complete -c flyweight -n '__fish_seen_subcommand_from bench' -l levels -x -a 'fast balanced high max' -d 'only these'
complete -c flyweight -n $writes -l rm -d 'remove the source once its archive was compared'
complete -c flyweight -n $writes -l resume -d 'go on with what an interrupted run left'
complete -c flyweight -n $writes -l recovery -x -d 'parity, in percent'
complete -c flyweight -n $writes -l ecc -d '5% parity'
complete -c flyweight -n $writes -l lossy -x -a 'fp16 bf16 int8 int4' -d 'smaller, not the same values'
complete -c flyweight -n $writes -l lossy-delta -x -a 'error=0.05 strategy=int4 strategy=sparse strategy=one_bit' -d 'a smaller patch, nearly the same values'
complete -c flyweight -l base -r -d 'what a patch stands on'
complete -c flyweight -l base-dir -r -d 'where bases are'
complete -c flyweight -n $writes -l auto-base -d 'look for the base'
complete -c flyweight -n $writes -l sequence -d 'versions of a model'
complete -c flyweight -n $writes -l key-every -x -d 'versions from one that is whole to the next'
complete -c flyweight -n '__fish_seen_subcommand_from list ls info peek' -l lineage -d 'which patches stand on what'
complete -c flyweight -n '__fish_seen_subcommand_from diff' -l patch -r -d 'write what changed'
complete -c flyweight -n '__fish_seen_subcommand_from rebase' -l onto -r -d 'the new base'
complete -c flyweight -n '__fish_seen_subcommand_from prune' -l keep-last -x -d 'how many'
complete -c flyweight -n $writes -l no-verify -d 'do not read the archive back'
complete -c flyweight -l dry-run -d 'say what would be done'
complete -c flyweight -l max-output -x -d 'refuse more than SIZE'
complete -c flyweight -l max-memory -x -d 'fail rather than take more memory'
complete -c flyweight -n '__fish_seen_subcommand_from decompress extract' -l salvage -d 'restore what can be'
complete -c flyweight -n '__fish_seen_subcommand_from list ls stat diff' -l tensor -x -d 'only tensors that match'
complete -c flyweight -n '__fish_seen_subcommand_from verify test' -l fast -d 'check what is stored'
complete -c flyweight -n '__fish_seen_subcommand_from verify test' -l sample -x -d 'decode a part of the chunks'
complete -c flyweight -n '__fish_seen_subcommand_from verify test' -l strict -d 'warn of lossy archives'
complete -c flyweight -n '__fish_seen_subcommand_from repair' -l from -r -d 'a second copy'
