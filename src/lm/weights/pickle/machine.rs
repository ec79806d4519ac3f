//! Reads the part of Python's pickle language that `torch.save` writes. Never imports a module or
//! runs code: a call is stored as a node. All nodes lie in one list and refer to each other by
//! index, so a file cannot create more nodes than it has instructions, or nest them too deep to be
//! dropped. The parent module says why candle's reader is not used.

use std::collections::HashMap;
use std::io::BufRead;

/// Maximum nodes of a pickle. A pickle with 10,000 tensors has about 200,000 nodes.
const MAX_NODES: usize = 1 << 20;
/// Maximum length of a string, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Why a PyTorch file cannot be read.
pub(super) enum Problem {
    /// The file is cut short or altered.
    Damaged(String),
    /// The file is in an unsupported form. The second text completes "choose a model …".
    Unsupported(String, &'static str),
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Damaged(problem)
    }
}

impl From<&str> for Problem {
    fn from(problem: &str) -> Self {
        Self::Damaged(problem.to_owned())
    }
}

/// Index of a node.
pub(super) type Id = u32;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    None,
    Bool,
    Int(i64),
    Float,
    Text(String),
    Bytes,
    /// Module and name, separated by a space.
    Class(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A call of a class or function.
    Call {
        callable: Id,
        args: Id,
    },
    /// A reference to an object outside the pickle, such as a storage, by its persistent id.
    Persistent(Id),
}

/// An unpickled object and all objects that it refers to.
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    pub(super) fn root(&self) -> &Node {
        self.node(self.root)
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    /// Returns all nodes in the order of creation.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(n) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the items of a tuple or list of sizes, such as a shape.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let size = |id: &Id| self.int(*id).and_then(|n| usize::try_from(n).ok());
        self.items(id)?.iter().map(size).collect()
    }
}

/// Reads one pickle and stops at its end.
///
/// # Errors
/// Returns the reason why the pickle cannot be read.
pub(super) fn read(input: &mut impl BufRead) -> Result<Pickle, Problem> {
    let mut machine = Machine {
        input,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while !machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { nodes: machine.nodes, root })
}

struct Machine<'a, R> {
    input: &'a mut R,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<R: BufRead> Machine<'_, R> {
    fn mark(&mut self) -> Result<(), Problem> {
        if self.marks.len() >= MAX_NODES {
            return Err(too_many());
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn duplicate(&mut self) -> Result<(), Problem> {
        let top = self.top()?;
        self.push_id(top)
    }

    /// Executes one instruction. Returns whether it was the last.
    fn step(&mut self) -> Result<bool, Problem> {
        let [code] = self.array()?;
        match code {
            b'.' => return Ok(true),
            // Protocol version and frame length are not needed.
            0x80 => drop(self.array::<1>()?),
            0x95 => drop(self.array::<8>()?),
            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),
            b'2' => self.duplicate()?,
            b'q' | b'r' | 0x94 => self.put(code)?,
            b'h' | b'j' => self.get(code)?,
            b'N' => self.push(Node::None)?,
            0x88 | 0x89 => self.push(Node::Bool)?,
            b'G' => {
                self.array::<8>()?;
                self.push(Node::Float)?;
            }
            b'J' | b'K' | b'M' | 0x8a | 0x8b => self.int(code)?,
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'B' | b'C' => self.text(code)?,
            b'c' | 0x93 => self.class(code)?,
            b')' | b't' | 0x85 | 0x86 | 0x87 => self.tuple(code)?,
            b']' | 0x8f => self.push(Node::List(Vec::new()))?,
            b'l' | 0x91 => {
                let items = self.pop_marked()?;
                self.push(Node::List(items))?;
            }
            b'a' | b'e' | 0x90 => self.append(code)?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let pairs = pairs(&self.pop_marked()?)?;
                self.push(Node::Dict(pairs))?;
            }
            b's' | b'u' => self.set_items(code)?,
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)?;
            }
            0x92 => {
                let (_kwargs, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, args)?;
            }
            // Attributes of an object, such as a state dict's module versions, are not needed.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            other => {
                let what = format!("a pickle with the instruction {other}");
                return Err(Problem::Unsupported(what, "saved as safetensors"));
            }
        }
        Ok(false)
    }

    fn push(&mut self, node: Node) -> Result<(), Problem> {
        if self.nodes.len() >= MAX_NODES {
            return Err(too_many());
        }
        self.stack.push(self.nodes.len() as Id);
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        self.stack.pop().ok_or_else(|| "its pickle pops from an empty stack".into())
    }

    fn top(&self) -> Result<Id, Problem> {
        self.stack.last().copied().ok_or_else(|| "its pickle pops from an empty stack".into())
    }

    /// Pops the items above the last mark.
    fn pop_marked(&mut self) -> Result<Vec<Id>, Problem> {
        let mark = self.marks.pop().ok_or("its pickle has no mark")?;
        if mark > self.stack.len() {
            return Err("its pickle pops from an empty stack".into());
        }
        Ok(self.stack.split_off(mark))
    }

    fn put(&mut self, code: u8) -> Result<(), Problem> {
        let slot = match code {
            b'q' => u32::from(self.array::<1>()?[0]),
            b'r' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        let top = self.top()?;
        if self.memo.len() >= MAX_NODES {
            return Err(too_many());
        }
        self.memo.insert(slot, top);
        Ok(())
    }

    fn get(&mut self, code: u8) -> Result<(), Problem> {
        let slot = match code {
            b'h' => u32::from(self.array::<1>()?[0]),
            _ => u32::from_le_bytes(self.array()?),
        };
        let id = *self.memo.get(&slot).ok_or("its pickle reads an unset memo entry")?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), Problem> {
        if self.stack.len() >= MAX_NODES {
            return Err(too_many());
        }
        self.stack.push(id);
        Ok(())
    }

    fn int(&mut self, code: u8) -> Result<(), Problem> {
        let number = match code {
            b'J' => i64::from(i32::from_le_bytes(self.array()?)),
            b'K' => i64::from(self.array::<1>()?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.array()?)),
            _ => {
                let length = match code {
                    0x8a => u64::from(self.array::<1>()?[0]),
                    _ => u64::from(u32::from_le_bytes(self.array()?)),
                };
                let bytes = self.bytes(length)?;
                // Longer numbers, such as the old format's magic number, are not needed in full.
                let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xFF } else { 0 };
                let mut all = [sign; 8];
                let kept = bytes.len().min(8);
                all[..kept].copy_from_slice(&bytes[..kept]);
                i64::from_le_bytes(all)
            }
        };
        self.push(Node::Int(number))
    }

    fn text(&mut self, code: u8) -> Result<(), Problem> {
        let length = match code {
            0x8c | b'U' | b'C' => u64::from(self.array::<1>()?[0]),
            0x8d => u64::from_le_bytes(self.array()?),
            _ => u64::from(u32::from_le_bytes(self.array()?)),
        };
        let bytes = self.bytes(length)?;
        if matches!(code, b'B' | b'C') {
            return self.push(Node::Bytes);
        }
        let text =
            String::from_utf8(bytes).map_err(|_| "its pickle has a string that is not UTF-8")?;
        self.push(Node::Text(text))
    }

    fn class(&mut self, code: u8) -> Result<(), Problem> {
        let name = if code == b'c' {
            let (module, name) = (self.line()?, self.line()?);
            format!("{module} {name}")
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |id: Id| match self.nodes.get(id as usize) {
                Some(Node::Text(text)) => Ok(text.clone()),
                _ => Err("its pickle names a class by something other than a string"),
            };
            format!("{} {}", text(module)?, text(name)?)
        };
        self.push(Node::Class(name))
    }

    fn tuple(&mut self, code: u8) -> Result<(), Problem> {
        let count = match code {
            b')' => 0,
            b't' => {
                let items = self.pop_marked()?;
                return self.push(Node::Tuple(items));
            }
            _ => usize::from(code - 0x84),
        };
        let from = self.stack.len().checked_sub(count);
        let from = from.ok_or("its pickle pops from an empty stack")?;
        let items = self.stack.split_off(from);
        self.push(Node::Tuple(items))
    }

    fn append(&mut self, code: u8) -> Result<(), Problem> {
        let items = if code == b'a' { vec![self.pop()?] } else { self.pop_marked()? };
        let list = self.top()?;
        // Items of an object that is not a plain list are not needed.
        if let Some(Node::List(list)) = self.nodes.get_mut(list as usize) {
            list.extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, code: u8) -> Result<(), Problem> {
        let items = if code == b's' {
            let (value, key) = (self.pop()?, self.pop()?);
            vec![key, value]
        } else {
            self.pop_marked()?
        };
        let new = pairs(&items)?;
        let dict = self.top()?;
        if let Some(Node::Dict(dict)) = self.nodes.get_mut(dict as usize) {
            dict.extend(new);
        }
        Ok(())
    }

    fn call(&mut self, callable: Id, args: Id) -> Result<(), Problem> {
        let is_dict = matches!(
            self.nodes.get(callable as usize),
            Some(Node::Class(name)) if name == "collections OrderedDict"
        );
        let node = if is_dict { self.dict(args) } else { Node::Call { callable, args } };
        self.push(node)
    }

    /// Creates a dictionary from the pairs in `args`. Only files of Python 2 have such pairs.
    fn dict(&self, args: Id) -> Node {
        let items = |id: Id| match self.nodes.get(id as usize) {
            Some(Node::Tuple(items) | Node::List(items)) => items.as_slice(),
            _ => &[],
        };
        let pairs = items(args).first().map_or(&[][..], |list| items(*list));
        let pair = |id: &Id| match items(*id) {
            [key, value] => Some((*key, *value)),
            _ => None,
        };
        Node::Dict(pairs.iter().filter_map(pair).collect())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| "its pickle is cut short")?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, Problem> {
        if length > MAX_TEXT {
            return Err(format!("its pickle has a string of {length} bytes").into());
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes).map_err(|_| "its pickle is cut short")?;
        Ok(bytes)
    }

    /// Reads a line and removes its line end.
    fn line(&mut self) -> Result<String, Problem> {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut *self.input, 1000);
        limited.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if line.pop() != Some(b'\n') {
            return Err("its pickle is cut short".into());
        }
        String::from_utf8(line).map_err(|_| "its pickle has a string that is not UTF-8".into())
    }
}

fn too_many() -> Problem {
    let what = format!("a pickle of more than {MAX_NODES} objects");
    Problem::Unsupported(what, "saved as safetensors")
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Problem> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => Err("its pickle has a key without a value".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_no_more_nodes_than_a_pickle_has_instructions() {
        // Tuples nested 100,000 deep; then 1,000 tuples that each hold the one before twice.
        let deep = [b")".to_vec(), vec![0x85; 100_000], b".".to_vec()].concat();
        assert!(read(&mut deep.as_slice()).is_ok());
        let twice = [b")".to_vec(), b"q\0h\0\x86".repeat(1000), b".".to_vec()].concat();
        assert!(read(&mut twice.as_slice()).is_ok_and(|pickle| pickle.nodes().len() == 1001));
    }

    #[test]
    fn rejects_invalid_pickles() {
        let cases: [(&[u8], &str); 7] = [
            (b"", "cut short"),
            (b".", "empty stack"),
            (b"t.", "has no mark"),
            (b"X\xff\xff\xff\x7f", "bytes"),
            (b"h\0.", "unset memo"),
            (b"}(N u.", "the instruction 32"),
            (b"}(Nu.", "key without a value"),
        ];
        for (bytes, part) in cases {
            let (Problem::Damaged(problem) | Problem::Unsupported(problem, _)) =
                read(&mut &bytes[..]).err().expect("refused");
            assert!(problem.contains(part), "{problem}");
        }
    }
}
