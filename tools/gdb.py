# SPDX-License-Identifier: BSD-2-Clause
"""Commands of gdb that know the hypervisor's structures (docs/debugging.md): vms, vcpu VM [N], vmcb VM [N].

They read memory alone and run no code of the machine's, so they work at any moment at which it is stopped.
"""

import gdb


def offset(type_name, field):
    return next(f.bitpos // 8 for f in gdb.lookup_type(type_name).fields() if f.name == field)


def entries(head, type_name, field):
    """The structs on a circular list (host/list.h)."""
    node, end = head["next"], head.address
    back = offset(type_name, field)
    while int(node) and node != end:
        yield (node.cast(gdb.lookup_type("long")) - back).cast(gdb.lookup_type(type_name).pointer()).dereference()
        node = node["next"]


def vms():
    if not gdb.selected_thread():
        raise gdb.GdbError("the machine has ended; its log is build/run/NAME/serial.log, NAME being gdb unless told")
    return list(entries(gdb.parse_and_eval("'hv/vm.c'::vms"), "struct vm", "node"))


def vcpus(vm):
    return [vm["vcpu"][i].dereference() for i in range(int(vm["nr_vcpus"]))]


def named_vcpu(arguments):
    """The vcpu that a command names: VM [N]."""
    words = gdb.string_to_argv(arguments)
    if not words:
        raise gdb.GdbError("which VM? `vms` lists them")
    for vm in vms():
        if vm["name"].string() == words[0]:
            every, index = vcpus(vm), int(words[1]) if len(words) > 1 else 0
            if index < len(every):
                return every[index]
            raise gdb.GdbError(f"{words[0]} has vcpus 0 to {len(every) - 1}")
    raise gdb.GdbError(f"there is no VM named {words[0]}; `vms` lists them")


def kinds(vcpu):
    """Its exits by kind, the most frequent first."""
    names = {f.enumval: f.name for f in gdb.lookup_type("enum exit_kind").fields()}
    low, high = vcpu["exits"].type.range()
    counts = [(int(vcpu["exits"][kind]), names[kind]) for kind in range(low, high + 1)]
    return " ".join(f"{name}={count}" for count, name in sorted(counts, reverse=True) if count)


class Vms(gdb.Command):
    """vms: list the VMs of this machine."""

    def __init__(self):
        super().__init__("vms", gdb.COMMAND_DATA)

    def invoke(self, arguments, from_tty):
        for vm in vms():
            print(f"{vm['name'].string():16} id {int(vm['id'])}  {vm['status']}  {int(vm['memory']) >> 20} MiB  "
                  f"vcpus {int(vm['nr_vcpus'])}  {vm.address}  {vm['reason'].string()}")


class Vcpu(gdb.Command):
    """vcpu VM [N]: print a virtual processor: registers, last exit, exits by kind."""

    def __init__(self):
        super().__init__("vcpu", gdb.COMMAND_DATA)

    def invoke(self, arguments, from_tty):
        vcpu = named_vcpu(arguments)
        print(f"{vcpu['status']}  on CPU {int(vcpu['cpu'])}  {vcpu.address}")
        print(f"rip {int(vcpu['rip']):016x}  rflags {int(vcpu['rflags']):08x}")
        names = [f.name.lower() for f in gdb.lookup_type("enum gpr").fields()]
        for row in range(0, 16, 4):
            print("  ".join(f"{names[i]:>3} {int(vcpu['regs'][i]):016x}" for i in range(row, row + 4)))
        print(f"last exit: {vcpu['exit']['kind']}; {kinds(vcpu)}")


class Vmcb(gdb.Command):
    """vmcb VM [N]: print the VMCB of a virtual processor (AMD-V): the fields that are not zero."""

    def __init__(self):
        super().__init__("vmcb", gdb.COMMAND_DATA)

    def invoke(self, arguments, from_tty):
        vcpu = named_vcpu(arguments)
        if not int(gdb.parse_and_eval("svm_shared.nr_asids")):
            raise gdb.GdbError("this processor has VT-x: a VMCS lies inside of it; the dump of a VM that has crashed, "
                               "in the log, prints it")
        show("", vcpu["backend"].cast(gdb.lookup_type("struct svm_vcpu").pointer())["vmcb"].dereference())


def show(name, value):
    kind = value.type.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        for field in kind.fields():
            show(".".join(filter(None, (name, field.name))), value[field])
    elif kind.code == gdb.TYPE_CODE_ARRAY:
        for i in range(kind.range()[0], kind.range()[1] + 1):
            show(f"{name}[{i}]", value[i])
    elif int(value) and "reserved" not in name:
        print(f"{name:40} {int(value):#x}")


for command in (Vms, Vcpu, Vmcb):
    command()
