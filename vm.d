vm.o: hv/vm.c hv/vm.h config/config.h hv/bus.h host/list.h host/types.h \
 host/context.h hv/cpuid.h host/asm.h host/fixup.h host/x86.h host/bits.h \
 hv/guest_image.h hv/dirty_rate.h hv/guest_tsc.h host/lock.h hv/vcpu.h \
 hv/exit.h hv/vcpu_state.h mm/guest_mem.h mm/dirty.h mm/npt.h \
 hv/backend.h host/clock.h host/cpu.h host/trace.h host/smp.h host/log.h \
 host/panic.h hv/sched.h host/frame.h
hv/vm.h:
config/config.h:
hv/bus.h:
host/list.h:
host/types.h:
host/context.h:
hv/cpuid.h:
host/asm.h:
host/fixup.h:
host/x86.h:
host/bits.h:
hv/guest_image.h:
hv/dirty_rate.h:
hv/guest_tsc.h:
host/lock.h:
hv/vcpu.h:
hv/exit.h:
hv/vcpu_state.h:
mm/guest_mem.h:
mm/dirty.h:
mm/npt.h:
hv/backend.h:
host/clock.h:
host/cpu.h:
host/trace.h:
host/smp.h:
host/log.h:
host/panic.h:
hv/sched.h:
host/frame.h:
