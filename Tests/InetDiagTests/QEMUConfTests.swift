import Testing

@testable import InetDiag

@Suite("libvirt's qemu.conf")
struct QEMUConfTests {
  @Test("what the file does not say is libvirt's own")
  func defaults() {
    for text in ["", "\n", "# keepalive_interval = 7\n", " \t\r\n  # only this"] {
      let conf = QEMUConf(text: text)
      #expect(conf.keepaliveInterval == nil && conf.keepaliveCount == nil)
      #expect(conf.migrationPortMin == nil && conf.migrationPortMax == nil)
      #expect(conf.unreadableLines == [])
      #expect(conf.migrationPorts == 49152...49215)
    }
  }

  @Test("the settings are read among others")
  func settings() {
    let conf = QEMUConf(
      text: """
        # Master configuration file
        default_tls_x509_cert_dir = "/etc/pki/qemu"
        cgroup_device_acl = [
            "/dev/null", "/dev/full",
            '/dev/zero',
        ]
        user = "+0"   # by number
        keepalive_interval = 2 # seconds
        keepalive_count=4
        \tmigration_port_min  =  50000
        migration_port_max = 50063
        migration_host = "host.example.com"
        """)
    #expect(conf.keepaliveInterval == 2 && conf.keepaliveCount == 4)
    #expect(conf.migrationPortMin == 50000 && conf.migrationPortMax == 50063)
    #expect(conf.migrationPorts == 50000...50063)
    #expect(conf.unreadableLines == [])
  }

  @Test("an interval of 0 or less is no keepalive", arguments: ["0", "-1", "-2147483648"])
  func off(interval: String) {
    let conf = QEMUConf(text: "keepalive_interval = \(interval)")
    #expect(conf.keepaliveInterval == Int(interval) && conf.unreadableLines == [])
  }

  @Test("a count of 0, and the largest values, are read")
  func extremes() {
    #expect(QEMUConf(text: "keepalive_count = 0").keepaliveCount == 0)
    let conf = QEMUConf(text: "keepalive_interval = 2147483647\nkeepalive_count = 4294967295")
    #expect(conf.keepaliveInterval == 2_147_483_647 && conf.keepaliveCount == 4_294_967_295)
  }

  @Test("one port is set, and the other is libvirt's, unless that makes no range")
  func onePort() {
    #expect(QEMUConf(text: "migration_port_min = 49200").migrationPorts == 49200...49215)
    #expect(QEMUConf(text: "migration_port_max = 49160").migrationPorts == 49152...49160)
    #expect(QEMUConf(text: "migration_port_min = 50000").migrationPorts == 49152...49215)
    let reversed = QEMUConf(text: "migration_port_max = 50000\nmigration_port_min = 50001")
    #expect(reversed.migrationPortMax == nil && reversed.unreadableLines == [1])
  }

  // Each of these was put before libvirt 9.0, with another setting.
  @Test(
    "what libvirt reads is read",
    arguments: [
      "x='a';keepalive_count=+3", "x = [ \"a\",\n \"b\",\n ] # c\n\tkeepalive_count=3",
      "x = \"\"\"a\"\nb\"\"\"\nkeepalive_count = 3", "x = 3 # c\ny=-1;keepalive_count=3 # c",
      "x = []\r\nx_9=5\r\nkeepalive_count=3\r\n", "x = 99999999999999999999999\nkeepalive_count=3\n",
      "x = 5# c\nkeepalive_count=3# c", "# c;keepalive_count=1\nkeepalive_count=3\n  # c\n",
      "x=[[1,2],3]\nkeepalive_count=3", "x=\"\"\nkeepalive_count=3;",
      "keepalive_count=3\nkeepalive_count=4",
    ])
  func readable(text: String) {
    let conf = QEMUConf(text: text)
    #expect(conf.keepaliveCount == 3 && conf.unreadableLines == [])
  }

  @Test(
    "what libvirt refuses is skipped, and told by its line",
    arguments: [
      ("x = [ \"a\",\n # no comments in a list\n \"b\" ]", [1, 3]), ("x = 5 y", [1]), ("x-y = 3", [1]),
      ("x = -", [1]), ("_x = 1", [1]), ("x = [1 2]", [1]), ("x =\n5", [1, 2]), ("x = 5;\n;", [2]),
      ("x = [1,,2]", [1]), ("x = \"a", [1]), ("x = 'a\"", [1]), ("x = 0x10", [1]), ("x", [1]), ("x = a", [1]),
      ("é = 1", [1]), ("x = [1,", [1]), ("x = \"\"\"a\nb\nc = 1", [1, 2]), ("keepalive_count 4", [1]),
      ("keepalive_count = 4 5", [1]), ("[qemu]", [1]), ("\u{0}", [1]),
    ])
  func unreadable(text: String, lines: [Int]) {
    let conf = QEMUConf(text: text + "\nkeepalive_count = 3")
    #expect(conf.keepaliveCount == 3 && conf.unreadableLines == lines)
  }

  @Test(
    "a value that libvirt refuses for its setting is skipped likewise",
    arguments: [
      "keepalive_interval = \"5\"", "keepalive_interval = 2147483648", "keepalive_interval = [5]",
      "keepalive_interval = 9223372036854775808", "keepalive_count = -1", "keepalive_count = 4294967296",
      "migration_port_min = 0", "migration_port_min = -1", "migration_port_max = 65536",
      "migration_port_max = '49215'",
    ])
  func refused(text: String) {
    let conf = QEMUConf(text: "x = 1\n" + text)
    #expect(conf.unreadableLines == [2])
    #expect(conf.keepaliveInterval == nil && conf.keepaliveCount == nil)
    #expect(conf.migrationPortMin == nil && conf.migrationPortMax == nil)
  }

  @Test("lists without end and without sense are survived")
  func deep() {
    let conf = QEMUConf(text: "x = " + String(repeating: "[", count: 100_000) + "\nkeepalive_count = 3")
    #expect(conf.keepaliveCount == 3 && conf.unreadableLines == [1])
  }
}
