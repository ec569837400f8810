/* Hide vector instructions of the processor from a library that was patched for it.
 *
 *     gcc -O2 -shared -fPIC -o hidden_cpuid.so hidden_cpuid.c
 *     HIDDEN_CPUID=EBX,ECX,EDX,EAX1 LD_PRELOAD=./hidden_cpuid.so PROGRAM
 *
 * In the library, UD2 (0F 0B) stands in place of each CPUID (0F A2): see instruction_sets.py. Here the
 * signal of UD2 is answered with what CPUID returns, less the given bits (hexadecimal) of leaf 7:
 * EBX, ECX and EDX of its first part, EAX of its second.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

static unsigned hidden[4];

static void answer(int number, siginfo_t *about, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)registers[REG_RIP];
    unsigned leaf = (unsigned)registers[REG_RAX], part = (unsigned)registers[REG_RCX];
    unsigned a, b, c, d;

    (void)about;
    if (at[0] != 0x0f || at[1] != 0x0b) { /* an instruction that the processor really lacks */
        signal(number, SIG_DFL);
        return;
    }
    __cpuid_count(leaf, part, a, b, c, d);
    if (leaf == 7 && part == 0) {
        b &= ~hidden[0];
        c &= ~hidden[1];
        d &= ~hidden[2];
    } else if (leaf == 7 && part == 1) {
        a &= ~hidden[3];
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void install(void)
{
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO};
    const char *bits = getenv("HIDDEN_CPUID");

    if (!bits || sscanf(bits, "%x,%x,%x,%x", &hidden[0], &hidden[1], &hidden[2], &hidden[3]) != 4) {
        fprintf(stderr, "hidden_cpuid: set HIDDEN_CPUID to four hexadecimal numbers\n");
        exit(2);
    }
    sigaction(SIGILL, &action, NULL);
}
