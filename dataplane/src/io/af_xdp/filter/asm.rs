//! An assembler for the few BPF instructions the filter needs.
//!
//! Encoding: Documentation/bpf/standardization/instruction-set.rst of the kernel. Jumps go forward
//! only, to labels by name; what the names miss is an error of [`Asm::finish`].

use std::fmt;

/// One instruction as bpf(2) takes it: `struct bpf_insn`, include/uapi/linux/bpf.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Insn {
    opcode: u8,
    /// Destination in the low half, source in the high half.
    registers: u8,
    offset: i16,
    imm: i32,
}

/// A register; `R0` holds what is returned, `R1` to `R5` are arguments of a call and lost in it, `R6` to `R9` stay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    /// The end of 512 bytes of stack, which are below it.
    Stack,
}

/// How much a load reads, zero-extended, or a store writes: the size bits of an opcode.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
}

/// Condition of a jump on 64 bits, numbers unsigned: the operation bits of an opcode.
#[derive(Clone, Copy, Debug)]
pub(super) enum If {
    Equal = 0x10,
    NotEqual = 0x50,
    Greater = 0x20,
    Less = 0xa0,
}

// Classes and sources of an opcode.
const LDX_MEM: u8 = 0x61;
const STX_MEM: u8 = 0x63;
const ALU64: u8 = 0x07;
/// BPF_ALU | BPF_END | BPF_TO_BE
const TO_BE: u8 = 0xdc;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const BY_REGISTER: u8 = 0x08;

/// What is wrong with a program's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsmError {
    /// A jump to a label that is nowhere.
    Unknown(&'static str),
    /// A label at two places.
    Twice(&'static str),
    /// A jump to a label before it: a loop.
    Back(&'static str),
    /// A jump over more than 32,767 instructions.
    TooFar(&'static str),
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsmError::Unknown(label) => write!(f, "no label {label}"),
            AsmError::Twice(label) => write!(f, "label {label} at two places"),
            AsmError::Back(label) => write!(f, "jump back to {label}"),
            AsmError::TooFar(label) => write!(f, "jump to {label} is too far"),
        }
    }
}

impl std::error::Error for AsmError {}

/// A program in the making.
#[derive(Debug, Default)]
pub(super) struct Asm {
    insns: Vec<Insn>,
    labels: Vec<(&'static str, usize)>,
    jumps: Vec<(&'static str, usize)>,
}

impl Asm {
    fn emit(&mut self, opcode: u8, to: Reg, from: Reg, offset: i16, imm: i32) -> &mut Self {
        self.insns.push(Insn { opcode, registers: to as u8 | (from as u8) << 4, offset, imm });
        self
    }

    fn jump(&mut self, opcode: u8, a: Reg, b: Reg, imm: i32, label: &'static str) -> &mut Self {
        self.jumps.push((label, self.insns.len()));
        self.emit(opcode, a, b, 0, imm)
    }

    /// `to = *(size *)(from + offset)`
    pub(super) fn load(&mut self, size: Size, to: Reg, from: Reg, offset: i16) -> &mut Self {
        self.emit(LDX_MEM | size as u8, to, from, offset, 0)
    }

    /// `*(size *)(to + offset) = from`
    pub(super) fn store(&mut self, size: Size, to: Reg, offset: i16, from: Reg) -> &mut Self {
        self.emit(STX_MEM | size as u8, to, from, offset, 0)
    }

    /// `to = htons(to)`, which is `ntohs(to)`.
    pub(super) fn swap16(&mut self, to: Reg) -> &mut Self {
        self.emit(TO_BE, to, Reg::R0, 0, 16)
    }

    /// `to = from`
    pub(super) fn copy(&mut self, to: Reg, from: Reg) -> &mut Self {
        self.emit(ALU64 | 0xb0 | BY_REGISTER, to, from, 0, 0)
    }

    /// `to = imm`
    pub(super) fn set(&mut self, to: Reg, imm: i32) -> &mut Self {
        self.emit(ALU64 | 0xb0, to, Reg::R0, 0, imm)
    }

    /// `to += imm`
    pub(super) fn add(&mut self, to: Reg, imm: i32) -> &mut Self {
        self.emit(ALU64, to, Reg::R0, 0, imm)
    }

    /// `to += from`
    pub(super) fn add_reg(&mut self, to: Reg, from: Reg) -> &mut Self {
        self.emit(ALU64 | BY_REGISTER, to, from, 0, 0)
    }

    /// `to &= imm`, the mask sign-extended to 64 bits.
    pub(super) fn and(&mut self, to: Reg, imm: i32) -> &mut Self {
        self.emit(ALU64 | 0x50, to, Reg::R0, 0, imm)
    }

    /// `to <<= imm`
    pub(super) fn shift_left(&mut self, to: Reg, imm: i32) -> &mut Self {
        self.emit(ALU64 | 0x60, to, Reg::R0, 0, imm)
    }

    /// `if (a CONDITION imm) goto label`. The number is sign-extended to 64 bits: for one that may
    /// have its top bit set, [`Asm::goto_if_not_equal32`].
    pub(super) fn goto_if(&mut self, a: Reg, condition: If, imm: i32, label: &'static str) -> &mut Self {
        self.jump(JMP | condition as u8, a, Reg::R0, imm, label)
    }

    /// `if (a CONDITION b) goto label`
    pub(super) fn goto_if_reg(&mut self, a: Reg, condition: If, b: Reg, label: &'static str) -> &mut Self {
        self.jump(JMP | condition as u8 | BY_REGISTER, a, b, 0, label)
    }

    /// `if ((u32)a != imm) goto label`
    pub(super) fn goto_if_not_equal32(&mut self, a: Reg, imm: u32, label: &'static str) -> &mut Self {
        self.jump(JMP32 | If::NotEqual as u8, a, Reg::R0, imm.cast_signed(), label)
    }

    /// `goto label`
    pub(super) fn goto(&mut self, label: &'static str) -> &mut Self {
        self.jump(JMP, Reg::R0, Reg::R0, 0, label)
    }

    /// `to = the map with this file descriptor`: two instructions, a 64-bit number that the kernel fills in.
    pub(super) fn load_map(&mut self, to: Reg, map: i32) -> &mut Self {
        const PSEUDO_MAP_FD: Reg = Reg::R1; // BPF_PSEUDO_MAP_FD is 1, in the place of a source
        self.emit(0x18, to, PSEUDO_MAP_FD, 0, map).emit(0, Reg::R0, Reg::R0, 0, 0)
    }

    /// `R0 = helper(R1, R2, R3, R4, R5)`
    pub(super) fn call(&mut self, helper: i32) -> &mut Self {
        self.emit(JMP | 0x80, Reg::R0, Reg::R0, 0, helper)
    }

    /// `return R0`
    pub(super) fn exit(&mut self) -> &mut Self {
        self.emit(JMP | 0x90, Reg::R0, Reg::R0, 0, 0)
    }

    /// Jumps to `name` go to the next instruction.
    pub(super) fn label(&mut self, name: &'static str) -> &mut Self {
        self.labels.push((name, self.insns.len()));
        self
    }

    /// The program, its jumps resolved.
    pub(super) fn finish(mut self) -> Result<Vec<Insn>, AsmError> {
        for (i, (name, _)) in self.labels.iter().enumerate() {
            if self.labels.iter().skip(i + 1).any(|(other, _)| other == name) {
                return Err(AsmError::Twice(name));
            }
        }
        for &(name, from) in &self.jumps {
            let at = self.labels.iter().find(|(label, _)| *label == name).ok_or(AsmError::Unknown(name))?.1;
            let distance = at.checked_sub(from + 1).ok_or(AsmError::Back(name))?;
            let offset = i16::try_from(distance).map_err(|_| AsmError::TooFar(name))?;
            if let Some(insn) = self.insns.get_mut(from) {
                insn.offset = offset;
            }
        }
        Ok(self.insns)
    }
}

#[cfg(test)]
impl Insn {
    /// From an object file: little-endian as this machine.
    pub(super) fn from_bytes(b: [u8; 8]) -> Insn {
        Insn {
            opcode: b[0],
            registers: b[1],
            offset: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// An `if`.
    pub(super) fn is_condition(&self) -> bool {
        matches!(self.opcode & 7, JMP | JMP32) && !matches!(self.opcode & 0xf0, 0x00 | 0x80 | 0x90)
    }

    /// An `if` that goes on with the next instruction either way.
    pub(super) fn never_jump(&mut self) {
        self.offset = 0;
    }

    /// What [`Asm::load_map`] writes, in the place a relocation names.
    pub(super) fn point_to_map(&mut self, map: i32) {
        assert_eq!(self.opcode, 0x18, "a relocation of something else than a map");
        self.registers = self.registers & 0xf | 1 << 4;
        self.imm = map;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_and_what_is_wrong_with_them_is_said() {
        let mut a = Asm::default();
        a.goto_if(Reg::R1, If::NotEqual, 7, "end").set(Reg::R0, 1).label("end").exit();
        assert_eq!(a.finish().unwrap().iter().map(|i| i.offset).collect::<Vec<_>>(), [1, 0, 0]);

        let mut a = Asm::default();
        a.goto_if(Reg::R1, If::NotEqual, 7, "end").label("ende").exit();
        assert_eq!(a.finish(), Err(AsmError::Unknown("end")));

        let mut a = Asm::default();
        a.label("end").set(Reg::R0, 1).label("end").exit();
        assert_eq!(a.finish(), Err(AsmError::Twice("end")));

        let mut a = Asm::default();
        a.label("again").goto_if(Reg::R1, If::Less, 7, "again").exit();
        assert_eq!(a.finish(), Err(AsmError::Back("again")));

        for (between, result) in [(32_767, Ok(i16::MAX)), (32_768, Err(AsmError::TooFar("end")))] {
            let mut a = Asm::default();
            a.goto_if_reg(Reg::R1, If::Greater, Reg::R2, "end");
            (0..between).for_each(|_| _ = a.set(Reg::R0, 1));
            a.label("end").exit();
            assert_eq!(a.finish().map(|insns| insns[0].offset), result);
        }
    }

    /// The kernel's own macros in include/linux/filter.h give these bytes.
    #[test]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let mut a = Asm::default();
        a.load(Size::Word, Reg::R2, Reg::R1, 4).load(Size::Half, Reg::R5, Reg::R2, 12);
        a.load(Size::Byte, Reg::R5, Reg::R2, -1).copy(Reg::R4, Reg::R2).set(Reg::R0, 2);
        a.add(Reg::R4, 34).add_reg(Reg::R4, Reg::R2).and(Reg::R5, 15).shift_left(Reg::R5, 2);
        a.goto_if_reg(Reg::R4, If::Greater, Reg::R3, "x").goto_if(Reg::R5, If::Less, 5, "x");
        a.goto_if(Reg::R5, If::NotEqual, 8, "x").goto_if_not_equal32(Reg::R5, 0xc8_71_00_cb, "x");
        a.goto_if(Reg::R0, If::Equal, 0, "x").store(Size::Word, Reg::Stack, -8, Reg::R9).swap16(Reg::R9).goto("x");
        a.label("x").load_map(Reg::R1, 9).call(51).exit();
        let expected = [
            (0x61, 0x12, 4, 0),
            (0x69, 0x25, 12, 0),
            (0x71, 0x25, -1, 0),
            (0xbf, 0x24, 0, 0),
            (0xb7, 0x00, 0, 2),
            (0x07, 0x04, 0, 34),
            (0x0f, 0x24, 0, 0),
            (0x57, 0x05, 0, 15),
            (0x67, 0x05, 0, 2),
            (0x2d, 0x34, 7, 0),
            (0xa5, 0x05, 6, 5),
            (0x55, 0x05, 5, 8),
            (0x56, 0x05, 4, 0xc8_71_00_cb_u32 as i32),
            (0x15, 0x00, 3, 0),
            (0x63, 0x9a, -8, 0),
            (0xdc, 0x09, 0, 16),
            (0x05, 0x00, 0, 0),
            (0x18, 0x11, 0, 9),
            (0x00, 0x00, 0, 0),
            (0x85, 0x00, 0, 51),
            (0x95, 0x00, 0, 0),
        ];
        let expected = expected.map(|(opcode, registers, offset, imm)| Insn { opcode, registers, offset, imm });
        assert_eq!(a.finish().unwrap(), expected);
    }
}
