# dirtier.asm - a one-sector x86 guest that dirties memory at a chosen rate.
#
# The BIOS loads it at 0x7c00 (floppy or disk, read-only is enough).  It enters
# flat 32-bit mode, runs a 100 Hz timer, and on every tick writes one word into
# each of PAGES pages of a working set of WS pages that starts at 2 MiB, going
# round.  Between ticks it halts, so an idle guest costs next to no CPU.
#
#   dirty rate = PAGES * 4 KiB * 100 / s   (as long as the vCPU can keep up)
#
# COM1 (0x3f8) is the control channel; one byte, any time:
#   'a'..'p'   PAGES = 1, 2, 4 ... 32768   (0.4, 0.8, 1.6 ... 12800 MiB/s wanted)
#   '0'        PAGES = 0 (stop dirtying)
#   'A'..'L'   WS    = 1, 2, 4 ... 2048 MiB (RAM must be at least WS + 2 MiB)
# Once a second it sends back the last command byte: a heartbeat.
#
# DirtierGuest.swift carries the assembled sector; a test assembles this file and
# compares:  as --32 -o g.o dirtier.asm
#            ld -m elf_i386 -Ttext 0x7c00 --oformat binary -e _start -o g.bin g.o
#
# Start values lie at fixed offsets, so an image can be patched:
#   0x1f0  .long PAGES      0x1f4  .long WS (in 4 KiB pages)
#   0x1f8  .long command byte echoed at first
#
# Registers in the loop: edi = write cursor, ebx = running counter (the value
# written: never 0, so a touched page is never a zero page), ebp = ticks to the
# next heartbeat.

        .set    IDT, 0x1000
        .set    COM, 0x3f8
        .set    LOW, 0x200000

        .code16
        .globl  _start
_start:
        cli
        ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        inb     $0x92, %al              # A20 on
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        lgdtl   gdtr
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmp    $8, $flat

        .code32
flat:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7c00, %esp

        movl    $tick, %eax             # one gate: vector 0x20, the timer
        movw    %ax, IDT+0x100
        movw    $8, IDT+0x102
        movw    $0x8e00, IDT+0x104
        shrl    $16, %eax
        movw    %ax, IDT+0x106
        lidt    idtr

        movb    $0x11, %al              # interrupt controllers
        outb    %al, $0x20
        outb    %al, $0xa0
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $0x28, %al
        outb    %al, $0xa1
        movb    $4, %al
        outb    %al, $0x21
        movb    $2, %al
        outb    %al, $0xa1
        movb    $1, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movb    $0xfe, %al              # only IRQ 0
        outb    %al, $0x21
        movb    $0xff, %al
        outb    %al, $0xa1

        movb    $0x34, %al              # timer: 1193182 / 11932 = 100 Hz
        outb    %al, $0x43
        movw    $11932, %ax
        outb    %al, $0x40
        movb    %ah, %al
        outb    %al, $0x40

        movl    $LOW, %edi
        movl    $1, %ebx
        movl    $100, %ebp
        sti

again:
        hlt
        movw    $COM+5, %dx             # a command?
        inb     %dx, %al
        testb   $1, %al
        jz      beat
        movw    $COM, %dx
        inb     %dx, %al
        movb    %al, echo
        movzbl  %al, %ecx
        cmpb    $'0', %al
        je      stop
        subl    $'A', %ecx
        cmpl    $12, %ecx
        jb      wset
        subl    $'a'-'A', %ecx
        cmpl    $16, %ecx
        jae     beat
        movl    $1, %eax
        shll    %cl, %eax
        movl    %eax, pages
        jmp     beat
wset:   movl    $256, %eax
        shll    %cl, %eax
        movl    %eax, ws
        jmp     beat
stop:   movl    $0, pages

beat:   decl    %ebp
        jnz     dirty
        movl    $100, %ebp
        movw    $COM, %dx
        movb    echo, %al
        outb    %al, %dx

dirty:  movl    ws, %edx
        shll    $12, %edx
        addl    $LOW, %edx              # end of the working set
        movl    pages, %ecx
        jecxz   again
1:      cmpl    %edx, %edi
        jb      2f
        movl    $LOW, %edi
2:      movl    %ebx, (%edi)
        incl    %ebx
        jnz     3f
        incl    %ebx
3:      addl    $4096, %edi
        loop    1b
        jmp     again

tick:   pushl   %eax
        movb    $0x20, %al
        outb    %al, $0x20
        popl    %eax
        iret

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff      # code: 0..4 GiB
        .quad   0x00cf92000000ffff      # data: 0..4 GiB
gdtr:   .word   23
        .long   gdt
idtr:   .word   0x107
        .long   IDT

        .org    0x1f0
pages:  .long   0
ws:     .long   256*16
echo:   .long   '0'
        .org    510
        .word   0xaa55
