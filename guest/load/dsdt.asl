// SPDX-License-Identifier: BSD-2-Clause
//
// The guest's machine as ACPI sees it. Compiled by iasl in the build; ports and lines as in hv/dev/platform_map.h.
#include "hv/dev/platform_map.h"

DefinitionBlock ("", "DSDT", 2, "GODWIT", "GODWIT  ", 1)
{
    // Soft off: SLP_TYP 5.
    Name (\_S5, Package () { ACPI_SLP_TYP_S5, ACPI_SLP_TYP_S5, 0, 0 })

    Scope (\_SB)
    {
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

            // INTA of slot n is line 16 + n % 4; our functions use no other pin.
            Name (_PRT, Package ()
            {
#define INTA(slot, line) Package () { slot ## FFFF, 0, 0, line }
                INTA (0x0000, 16), INTA (0x0001, 17), INTA (0x0002, 18), INTA (0x0003, 19),
                INTA (0x0004, 16), INTA (0x0005, 17), INTA (0x0006, 18), INTA (0x0007, 19),
                INTA (0x0008, 16), INTA (0x0009, 17), INTA (0x000A, 18), INTA (0x000B, 19),
                INTA (0x000C, 16), INTA (0x000D, 17), INTA (0x000E, 18), INTA (0x000F, 19),
                INTA (0x0010, 16), INTA (0x0011, 17), INTA (0x0012, 18), INTA (0x0013, 19),
                INTA (0x0014, 16), INTA (0x0015, 17), INTA (0x0016, 18), INTA (0x0017, 19),
                INTA (0x0018, 16), INTA (0x0019, 17), INTA (0x001A, 18), INTA (0x001B, 19),
                INTA (0x001C, 16), INTA (0x001D, 17), INTA (0x001E, 18), INTA (0x001F, 19),
            })

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
