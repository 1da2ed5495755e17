#!/usr/bin/perl
# Sets the times in a Java key store of certificates, so that the same certificates make the same bytes.
# Usage: configure_cacerts.pl FILE SECONDS     (since the epoch)
#
# The format is JKS, version 2 (OpenJDK, sun/security/provider/JavaKeyStore.java): for each certificate a tag, an alias,
# the milliseconds at which it came, its type and bytes; then a SHA-1 over the password, a phrase and all before it.
# A store of another format, with keys in it, or with another password than Java's own is left as it is.
use strict;
use warnings;

my ($path, $seconds) = @ARGV;
my $password = join '', map { "\0$_" } split //, 'changeit';

sub digest {
    my ($data) = @_;
    open my $pipe, '+>', undef or die "a temporary file: $!\n";
    binmode $pipe;
    print {$pipe} $password, 'Mighty Aphrodite', $data;
    seek $pipe, 0, 0;
    open STDIN, '<&', $pipe or die "a temporary file: $!\n";
    return pack 'H40', `sha1sum`;    # perl-base has no module for it
}

open my $file, '+<', $path or exit 0;
binmode $file;
my $store = do { local $/; <$file> };
my ($magic, $version, $count) = unpack 'N3', $store;
exit 0 unless defined $count && $magic == 0xFEEDFEED && $version == 2;
my $at = 12;
for (1 .. $count) {
    exit 0 unless length $store >= $at + 6 && unpack('N', substr $store, $at, 4) == 2;
    my $alias = unpack 'n', substr $store, $at + 4, 2;
    exit 0 unless length $store >= $at + 16 + $alias;
    my $type = unpack 'n', substr $store, $at + 14 + $alias, 2;
    exit 0 unless length $store >= $at + 20 + $alias + $type;
    my $size = unpack 'N', substr $store, $at + 16 + $alias + $type, 4;
    $at += 20 + $alias + $type + $size;
}
exit 0 unless length $store == $at + 20 && digest(substr $store, 0, $at) eq substr $store, $at;
$at = 12;
for (1 .. $count) {
    my $alias = unpack 'n', substr $store, $at + 4, 2;
    substr($store, $at + 6 + $alias, 8) = pack 'Q>', $seconds * 1000;
    my $type = unpack 'n', substr $store, $at + 14 + $alias, 2;
    $at += 20 + $alias + $type + unpack 'N', substr $store, $at + 16 + $alias + $type, 4;
}
substr($store, $at) = digest(substr $store, 0, $at);
seek $file, 0, 0;
print {$file} $store;
close $file or die "$path: $!\n";
