internal import DroverCore

/// The capacity of the disks that are copied, which libvirt does not name.
///
/// Its total begins with their sum, and grows as the guest writes: so it is never less than the sum of those that are
/// copied, and that is the largest sum of capacities that it holds.
func copiedDisks(capacities: [Bytes], total: Bytes) -> Bytes {
  guard total > 0 else { return 0 }
  // More disks than this are taken together: their sums could not be gone through.
  guard capacities.count <= 12 else { return min(total, capacities.reduce(0, +)) }
  var sums: Set<Bytes> = [0]
  for capacity in capacities { sums.formUnion(sums.map { $0 + capacity }) }
  let best = sums.filter { $0 <= total }.max() ?? 0
  return best > 0 ? best : total
}

/// The disks of a domain that libvirt copies at all, by their name in the guest: those that hosts do not share and that
/// the guest may write.
func copyableDisks(ofXML xml: String) -> Set<String> {
  var disks: Set<String> = []
  // libvirt writes it itself, one element a line, with apostrophes.
  var name: String?
  var isCopied = true
  for line in xml.split(separator: "\n") {
    let element = line.drop { $0 == " " }
    if element.hasPrefix("<disk ") {
      name = nil
      isCopied = true
    } else if element.hasPrefix("<target dev='") {
      name = element.split(separator: "'", maxSplits: 2).dropFirst().first.map(String.init)
    } else if element.hasPrefix("<readonly/>") || element.hasPrefix("<shareable/>") {
      isCopied = false
    } else if element.hasPrefix("</disk>"), isCopied, let name {
      disks.insert(name)
    }
  }
  return disks
}
