"""The acceptance check before a migration: may the readers and writers of one endpoint move to another?"""
