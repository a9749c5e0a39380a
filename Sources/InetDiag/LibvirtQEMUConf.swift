/// The settings of libvirt's qemu.conf that tell when a migration is given up and which ports it uses.
public struct QEMUConf: Hashable, Sendable {
  /// Seconds of silence after which the daemon asks its peer for a sign of life (`keepalive_interval`).
  ///
  /// -1 is never; nil where the file does not say, which is ``defaultKeepaliveInterval``.
  public let keepaliveInterval: Int?
  /// How many such questions go unanswered before the connection is closed (`keepalive_count`); nil where not
  /// said.
  public let keepaliveCount: Int?
  /// The lowest port that a destination listens on (`migration_port_min`); nil where not said.
  public let migrationPortMin: UInt16?
  /// The highest one (`migration_port_max`); nil where not said.
  public let migrationPortMax: UInt16?
  /// The lines, from 1, that were skipped: not libvirt's syntax, or a value that it refuses for the setting.
  ///
  /// libvirt itself does not start with such a file.
  public let unreadableLines: [Int]

  /// libvirt's `keepalive_interval`, in seconds.
  public static let defaultKeepaliveInterval = 5
  /// libvirt's `keepalive_count`.
  public static let defaultKeepaliveCount = 5
  /// libvirt's `migration_port_min` and `migration_port_max`.
  public static let defaultMigrationPorts: ClosedRange<UInt16> = 49152...49215

  /// Reads the text of a file.
  public init(text: String) {
    let conf = ConfText(text)
    var unreadable = Set(conf.unreadableLines)
    func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
      guard let setting = conf.settings[name] else { return nil }
      guard case .integer(let number) = setting.value, range.contains(number) else {
        unreadable.insert(setting.line)
        return nil
      }
      return number
    }
    keepaliveInterval = integer("keepalive_interval", in: Int(Int32.min)...Int(Int32.max))
    keepaliveCount = integer("keepalive_count", in: 0...Int(UInt32.max))
    let lowest = integer("migration_port_min", in: 1...65535)
    let highest = integer("migration_port_max", in: (lowest ?? 1)...65535)
    migrationPortMin = lowest.map { UInt16($0) }
    migrationPortMax = highest.map { UInt16($0) }
    unreadableLines = unreadable.sorted()
  }

  /// The ports that destinations listen on, with libvirt's own for what the file does not say.
  public var migrationPorts: ClosedRange<UInt16> {
    let lowest = migrationPortMin ?? Self.defaultMigrationPorts.lowerBound
    let highest = migrationPortMax ?? Self.defaultMigrationPorts.upperBound
    return lowest <= highest ? lowest...highest : Self.defaultMigrationPorts
  }
}
