internal import Glibc

/// What `/proc` tells about the processes that own connections.
public struct ProcessTable: Sendable {
  private let root: String

  /// Reads the table at a path; another than `/proc` where the host's is mounted elsewhere.
  public init(root: String = "/proc") { self.root = root }

  /// The sockets that a process has open, by the number that is ``TCPConnection/inode``.
  ///
  /// - Returns: nil where this process may not look, which takes the same user or CAP_SYS_PTRACE and
  ///   CAP_DAC_READ_SEARCH, and where there is no such process.
  public func socketInodes(ofProcess process: Int32) -> Set<UInt64>? {
    guard let directory = opendir("\(root)/\(process)/fd") else { return nil }
    defer { closedir(directory) }
    var inodes: Set<UInt64> = []
    while let name = nextName(in: directory) {
      guard name != ".", name != ".." else { continue }
      var target = [UInt8](repeating: 0, count: 64)
      let length = target.withUnsafeMutableBytes { bytes in
        bytes.withMemoryRebound(to: CChar.self) { bytes -> Int in
          guard let start = bytes.baseAddress else { return 0 }
          return readlinkat(dirfd(directory), name, start, bytes.count)
        }
      }
      guard length >= 0 else {
        // Closed meanwhile; or else listing the names took less privilege than reading the links does.
        if errno == ENOENT { continue }
        return nil
      }
      let text = String(decoding: target.prefix(length), as: UTF8.self)
      guard text.hasPrefix("socket:["), text.hasSuffix("]") else { continue }
      if let inode = UInt64(text.dropFirst("socket:[".count).dropLast()) { inodes.insert(inode) }
    }
    return inodes
  }

  /// The processes of a name whose parent has one of some other names, such as the `ssh` of a libvirt daemon.
  ///
  /// A name is what the kernel calls the process (`/proc/PID/comm`), of which it keeps 15 bytes.
  ///
  /// - Returns: their numbers in ascending order; none where processes of other users are hidden (`hidepid`).
  public func children(named name: String, ofProcessesNamed parents: Set<String>) -> [Int32] {
    guard let directory = opendir(root) else { return [] }
    defer { closedir(directory) }
    let name = kernelForm(of: name)
    let parents = Set(parents.map(kernelForm))
    var children: [Int32] = []
    while let entry = nextName(in: directory) {
      // Before the parent's number, which costs the kernel far more to tell.
      guard let process = Int32(entry), process > 0, comm(ofProcess: process) == name,
        let parent = parent(ofProcess: process), let parentName = comm(ofProcess: parent)
      else { continue }
      if parents.contains(parentName) { children.append(process) }
    }
    return children.sorted()
  }

  private func comm(ofProcess process: Int32) -> [UInt8]? {
    guard let bytes = contents(of: "\(root)/\(process)/comm"), bytes.last == UInt8(ascii: "\n") else {
      return nil
    }
    return bytes.dropLast()
  }

  private func parent(ofProcess process: Int32) -> Int32? {
    contents(of: "\(root)/\(process)/stat").flatMap(Self.parent(inStat:))
  }

  /// The parent in the text of `/proc/PID/stat`: `77 (name) S 12 …`, in which the name may hold anything.
  static func parent(inStat text: [UInt8]) -> Int32? {
    guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = text[(end + 1)...].split(separator: UInt8(ascii: " "))
    guard fields.count >= 2, let parent = Int32(String(decoding: fields[1], as: UTF8.self)), parent > 0 else {
      return nil
    }
    return parent
  }
}

private func kernelForm(of name: String) -> [UInt8] { Array(name.utf8.prefix(15)) }

private func nextName(in directory: OpaquePointer) -> String? {
  guard let entry = readdir(directory) else { return nil }
  return withUnsafeBytes(of: entry.pointee.d_name) { bytes in
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}

/// The first 4096 bytes of a file, which is more than the files read here have; nil where it cannot be read.
private func contents(of path: String) -> [UInt8]? {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  guard number >= 0 else { return nil }
  let descriptor = Descriptor(number)
  var bytes = [UInt8](repeating: 0, count: 4096)
  let length = read(descriptor.number, &bytes, bytes.count)
  return length >= 0 ? Array(bytes.prefix(length)) : nil
}
