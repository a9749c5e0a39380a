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
