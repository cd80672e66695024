// SPDX-License-Identifier: BSD-2-Clause
//
// The guest's machine as ACPI sees it. Compiled by iasl in the build; ports and lines as in dev/platform_map.h.
#include "dev/platform_map.h"

DefinitionBlock ("", "DSDT", 2, "GODWIT", "GODWIT  ", 1)
{
    // Suspend to RAM. There is no S4: the machine has no disk.
    Name (\_S3, Package () { ACPI_SLP_TYP_S3, ACPI_SLP_TYP_S3, 0, 0 })

    // Soft off.
    Name (\_S5, Package () { ACPI_SLP_TYP_S5, ACPI_SLP_TYP_S5, 0, 0 })

    // Which interrupt controller the kernel uses: 0, the 8259 pair, until it says otherwise.
    Name (\PICM, 0)

    Method (\_PIC, 1, NotSerialized)
    {
        PICM = Arg0
    }

    // The generation ID has changed: ACPI_GPE_GENERATION.
    Scope (\_GPE)
    {
        Method (_E00, 0, NotSerialized)
        {
            Notify (\_SB.VGEN, 0x80)
        }
    }

    Scope (\_SB)
    {
        // Tells a guest that it was restored from an image, and where its new generation ID is.
        Device (VGEN)
        {
            Name (_HID, "GDWT0001")
            Name (_CID, "VMGENCTR")
            Name (_DDN, "VM_Gen_Counter")
            Name (ADDR, Package () { GENERATION_BASE, 0 })
        }

        // The PCI host bridge: one bus, windows for I/O and for 32-bit memory.
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0xCF8, 0xCF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xE0000000, 0xFEBFFFFF, 0, 0x1EC00000)
            })

            // INTA of slot n is line PCI_GSI + n % 4 of the I/O APIC; our functions use no other pin. A kernel that has said
            // that it uses the 8259 pair is told the line there.
#define INTA(slot, line) Package () { slot ## FFFF, 0, 0, line }
#define SLOTS(lines) SLOTS_OF (lines)
#define SLOTS_OF(line0, line1, line2, line3) \
                INTA (0x0000, line0), INTA (0x0001, line1), INTA (0x0002, line2), INTA (0x0003, line3), \
                INTA (0x0004, line0), INTA (0x0005, line1), INTA (0x0006, line2), INTA (0x0007, line3), \
                INTA (0x0008, line0), INTA (0x0009, line1), INTA (0x000A, line2), INTA (0x000B, line3), \
                INTA (0x000C, line0), INTA (0x000D, line1), INTA (0x000E, line2), INTA (0x000F, line3), \
                INTA (0x0010, line0), INTA (0x0011, line1), INTA (0x0012, line2), INTA (0x0013, line3), \
                INTA (0x0014, line0), INTA (0x0015, line1), INTA (0x0016, line2), INTA (0x0017, line3), \
                INTA (0x0018, line0), INTA (0x0019, line1), INTA (0x001A, line2), INTA (0x001B, line3), \
                INTA (0x001C, line0), INTA (0x001D, line1), INTA (0x001E, line2), INTA (0x001F, line3)
            Name (APIC, Package () { SLOTS_OF (16, 17, 18, 19) })
            Name (PICS, Package () { SLOTS (PCI_ISA_LINES) })

            Method (_PRT, 0, NotSerialized)
            {
                If (PICM)
                {
                    Return (APIC)
                }
                Return (PICS)
            }

            Device (RTC)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x70, 0x70, 1, 2)
                    IRQNoFlags () { RTC_LINE }
                })
            }

            Device (COM1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x3F8, 0x3F8, 1, 8)
                    IRQNoFlags () { SERIAL_LINE }
                })
            }

            // Ports that no PCI device may be given.
            Device (SYSR)
            {
                Name (_HID, EisaId ("PNP0C02"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, ACPI_PM1A_EVENT_PORT, ACPI_PM1A_EVENT_PORT, 1, 0x10)
                })
            }
        }
    }
}
