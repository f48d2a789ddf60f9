/* Tries every system call of this machine's three tables, each in a process of its own, with
 * arguments that can do nothing: six times minus one. Prints a line for each: the table, the number,
 * and the errno, or how the process ended.
 *
 * An earlier program of this kind was run on a host by mistake and renamed it. So this one tries
 * nothing unless it is the first process of a pid namespace, and nothing that waits for the disks
 * (sync). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum table { X86_64, X32, I386 };
static const char *const names[] = {"x86_64", "x32", "i386"};

/* What the child leaves in shared memory: nothing yet, or the call's result. */
static volatile long *result;
#define NOTHING 0x7eadbeefL

/* A child that the call itself makes would return here too: it leaves at once. */
static long call64(long number, long first)
{
    long answer;
    register long r10 __asm__("r10") = -1, r8 __asm__("r8") = -1, r9 __asm__("r9") = -1;
    long makes_child = number == 57 || number == 58;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "test %%rbx, %%rbx\n\t"
                     "jz 1f\n\t"
                     "mov $60, %%eax\n\t"
                     "xor %%edi, %%edi\n\t"
                     "syscall\n"
                     "1:"
                     : "=a"(answer)
                     : "0"(number), "D"(first), "S"(-1L), "d"(-1L), "r"(r10), "r"(r8), "r"(r9),
                       "b"(makes_child)
                     : "rcx", "r11", "memory");
    return answer;
}

static long call32(long number)
{
    int answer;
    long makes_child = number == 2 || number == 190;
    if (makes_child) {
        __asm__ volatile("int $0x80\n\t"
                         "test %%eax, %%eax\n\t"
                         "jnz 1f\n\t"
                         "mov $1, %%eax\n\t"
                         "xor %%ebx, %%ebx\n\t"
                         "int $0x80\n"
                         "1:"
                         : "=a"(answer)
                         : "0"((int)number)
                         : "rbx", "r8", "r9", "r10", "r11", "memory");
        return answer;
    }
    __asm__ volatile("push %%rbp\n\t"
                     "mov $-1, %%ebp\n\t"
                     "int $0x80\n\t"
                     "pop %%rbp"
                     : "=a"(answer)
                     : "0"((int)number), "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
                     : "r8", "r9", "r10", "r11", "memory");
    return answer;
}

static int waits(enum table table, long number)
{
    if (table == I386)
        return number == 29 || number == 72;
    return number == 34;
}

static int syncs(enum table table, long number)
{
    return table == I386 ? number == 36 : number == 162;
}

/* Waits for the child, not for ever. */
static int end_of(pid_t child, long limit_ms)
{
    struct timespec pause = {0, 200000};
    int status = 0;
    for (long waited_us = 0; waited_us < limit_ms * 1000; waited_us += 200) {
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

static void report(enum table table, const char *what, int status)
{
    printf("%s %s ", names[table], what);
    long answer = *result;
    if (answer != NOTHING && answer < 0 && answer >= -4095)
        printf("errno %ld\n", -answer);
    else if (answer != NOTHING)
        printf("succeeds\n");
    else if (status == -1)
        printf("waits\n");
    else if (WIFSIGNALED(status))
        printf("signal %d\n", WTERMSIG(status));
    else
        printf("ends\n");
    fflush(stdout);
}

static void try(enum table table, long number, long first, const char *what)
{
    *result = NOTHING;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (table == I386)
            *result = call32(number);
        else
            *result = call64(table == X32 ? number | 0x40000000 : number, first);
        _exit(0);
    }
    report(table, what, end_of(child, waits(table, number) ? 500 : 30000));
}

static void try_all(enum table table, long count)
{
    char what[32];
    for (long number = 0; number < count; number++) {
        if (syncs(table, number))
            continue;
        snprintf(what, sizeof what, "%ld", number);
        try(table, number, -1, what);
    }
}

int main(void)
{
    if (getpid() != 1) {
        fputs("this program runs as the first process of a container only\n", stderr);
        return 1;
    }
    result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED)
        return 1;
    try_all(X86_64, 600);
    try_all(X32, 600);
    try_all(I386, 600);
    /* Rules that look at the first argument. */
    try(X86_64, 135, 0, "personality(0)");
    try(X86_64, 135, 8, "personality(8)");
    try(X86_64, 135, 0x20000, "personality(0x20000)");
    try(X86_64, 41, 1, "socket(AF_UNIX)");
    try(X86_64, 41, 40, "socket(AF_VSOCK)");
    try(X86_64, 56, 0x10000000, "clone(CLONE_NEWUSER)");
    return 0;
}
