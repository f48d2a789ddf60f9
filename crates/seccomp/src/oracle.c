/* Lets libseccomp compile the same profile, for a comparison in tests. Not part of the product.
 *
 * names: prints "<arch> <number> <name>" for every name on standard input.
 * bpf:   reads a profile, one item a line, and writes the program as libseccomp exports it:
 *          arch <token>                 before all rules; the native one is dropped first
 *          rule <action> <name> <count> { <index> <op> <a> <b> }
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t arches[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64,
                                  SCMP_ARCH_ARM};

static int names(void)
{
	char name[128];
	while (scanf("%127s", name) == 1)
		for (unsigned i = 0; i < 5; i++)
			printf("%u %d %s\n", i, seccomp_syscall_resolve_name_arch(arches[i], name), name);
	return 0;
}

static int fail(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	return 1;
}

static int rule(scmp_filter_ctx filter)
{
	unsigned action, count;
	char name[128];
	struct scmp_arg_cmp args[6];
	if (scanf("%u %127s %u", &action, name, &count) != 3 || count > 6)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		unsigned index, op;
		unsigned long long a, b;
		if (scanf("%u %u %llu %llu", &index, &op, &a, &b) != 4)
			return -EINVAL;
		args[i] = (struct scmp_arg_cmp){index, op, a, b};
	}
	int number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(filter, action, number, count, args);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "names"))
		return names();
	unsigned action;
	char word[16];
	if (scanf("%u", &action) != 1)
		return fail("read", -EINVAL);
	scmp_filter_ctx filter = seccomp_init(action);
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_arch_remove(filter, SCMP_ARCH_NATIVE);
	while (scanf("%15s", word) == 1) {
		unsigned arch;
		int rc = !strcmp(word, "rule")     ? rule(filter)
		         : scanf("%u", &arch) == 1 ? seccomp_arch_add(filter, arches[arch])
		                                   : -EINVAL;
		if (rc < 0)
			return fail(word, rc);
	}
	int rc = seccomp_export_bpf(filter, 1);
	return rc < 0 ? fail("export", rc) : 0;
}
